package model

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/model/runtime"
)

const (
	testPatience = 30 * time.Second
	testTick     = time.Millisecond
)

// counted counts the runs of a graph.
type counted struct {
	graph
	runs atomic.Int32
}

// Run implements graph.
func (c *counted) Run(ctx context.Context, inputs, outputs []runtime.Tensor) error {
	c.runs.Add(1)
	return c.graph.Run(ctx, inputs, outputs)
}

// openRemembering opens the tiny bundle with texts run one by one, whose vectors
// are the same in any company, and room for n texts.
func openRemembering(t *testing.T, n int, metrics *Metrics) (*Model, *counted) {
	t.Helper()
	m, err := Open(tinySingle(t), Options{Device: "cpu", CacheBytes: textBytes(t, n), Metrics: metrics})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	c := &counted{graph: m.text}
	m.text = c
	return m, c
}

func textBytes(t *testing.T, n int) int64 {
	t.Helper()
	m := openBundle(t, tinyBundle)
	return int64(n * (4*m.manifest.Text.Width + rememberedBytes))
}

func TestTextsAreReadOnce(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m, c := openRemembering(t, 2, NewMetrics(reg))
	image := randomInput(t, m, 1, 2).Images[0]
	ask := func(read int, texts ...string) {
		t.Helper()
		in := Input{Texts: texts}
		for range texts {
			in.Images = append(in.Images, image)
		}
		before := c.runs.Load()
		require.NoError(t, m.Read(t.Context(), texts))
		_, err := m.Encode(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, read, int(c.runs.Load()-before), "%q", texts)
	}
	ask(1, "red", "red", "  RED ") // the tower cannot tell them apart
	ask(0, "red")
	ask(1, "blue", "red")
	ask(1, "dog", "red") // blue was used least recently, and goes
	ask(0, "dog", "red")
	ask(1, "blue")
	require.Equal(t, 2, m.remembered.vectors.Len())
	require.InDelta(t, 7, testutil.ToFloat64(m.metrics.known), 0)
	require.InDelta(t, 4, testutil.ToFloat64(m.metrics.fresh), 0)
}

// TestMemoryOfTextsChangesNothing: whatever comes in whatever company and
// however little is remembered, outputs are equal to the bit.
func TestMemoryOfTextsChangesNothing(t *testing.T) {
	t.Parallel()
	none, _ := openRemembering(t, 0, nil)
	require.Nil(t, none.remembered)
	posts := randomInput(t, none, 12, 4)
	rapid.Check(t, func(rt *rapid.T) {
		room := rapid.SampledFrom([]int{1, 3, 100}).Draw(rt, "room")
		remembered, err := newRemembered(textBytes(t, room), none.manifest.Text.Width)
		require.NoError(rt, err)
		m := &Model{
			manifest: none.manifest, tokenizer: none.tokenizer, text: none.text, image: none.image, head: none.head, ones: none.ones,
			slots: newSlots(2), workers: 2, textChunk: none.textChunk, textRun: none.textRun, imageChunk: none.imageChunk, remembered: remembered,
		}
		batches := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 11), 1, 8), 1, 6).Draw(rt, "batches")
		var group sync.WaitGroup
		failures := make([]error, len(batches))
		for i, rows := range batches {
			run := func() {
				in := posts.only(rows...)
				want, err := none.Encode(t.Context(), in)
				got, err2 := m.Encode(t.Context(), in)
				if err != nil || err2 != nil || fmt.Sprint(want) != fmt.Sprint(got) {
					failures[i] = fmt.Errorf("batch %d differs: %v, %v", i, err, err2) //nolint:errorlint // for the test's log
				}
			}
			if rapid.Bool().Draw(rt, "at once") {
				group.Go(run)
			} else {
				run()
			}
		}
		group.Wait()
		for _, err := range failures {
			require.NoError(rt, err)
		}
	})
}

// Runs hold every text once and in order, none more than may be, and no other
// runs would cost less.
func TestRunsOfTextsCostLeast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &Model{textChunk: rapid.IntRange(1, 5).Draw(t, "chunk"), textRun: rapid.IntRange(0, 30).Draw(t, "run")}
		lengths := rapid.SliceOfN(rapid.IntRange(1, 64), 0, 9).Draw(t, "lengths")
		slices.SortFunc(lengths, func(a, b int) int { return b - a })
		s := &scratch{runs: make([]span, 3)}
		for _, n := range lengths {
			s.unread = append(s.unread, tokens{last: n})
		}
		m.cutTexts(s)
		cost, at := 0, 0
		for _, run := range s.runs {
			require.Equal(t, at, run.first)
			require.LessOrEqual(t, run.last-run.first, m.textChunk)
			require.Greater(t, run.last, run.first)
			cost += m.textRun + (run.last-run.first)*lengths[run.first]
			at = run.last
		}
		require.Equal(t, len(lengths), at)
		for ends := range 1 << max(0, len(lengths)-1) { // bit i: a run ends behind text i
			other, first := 0, 0
			for i := range lengths {
				if i == len(lengths)-1 || ends>>i&1 == 1 {
					if other += m.textRun + (i+1-first)*lengths[first]; i+1-first > m.textChunk {
						other = math.MaxInt32
					}
					first = i + 1
				}
			}
			require.GreaterOrEqual(t, other, cost)
		}
	})
}
