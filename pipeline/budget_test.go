package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

func TestAFullQueueStopsTheNextBatch(t *testing.T) {
	t.Parallel()
	for name, queue := range map[string]config.Queue{
		"by count": {MaxBatches: 1, MaxBytes: 1 << 30},
		"by bytes": {MaxBatches: 100, MaxBytes: 4}, // one that is larger than all goes alone
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBudget(queue, nil)
			first, err := b.reserve(t.Context(), 1<<10)
			require.NoError(t, err)

			full, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err = b.reserve(full, 1<<10)
			require.ErrorIs(t, err, context.DeadlineExceeded)

			first.release()
			second, err := b.reserve(t.Context(), 1<<10)
			require.NoError(t, err)
			second.release()
		})
	}
}

func gauge(g prometheus.Gauge) int64 { return int64(testutil.ToFloat64(g)) }

// decoded is a batch of posts at the offsets 100, 110, … with so many pairs
// each, and values and images of about 1 KiB.
func decoded(tb testing.TB, alloc memory.Allocator, pairs ...int) *schemas.Batch {
	tb.Helper()
	var records []schematest.Record
	var posts, rows []string
	image := strings.Repeat("A", 1368) // base64 of 1026 bytes
	for post, n := range pairs {
		records = append(records, schematest.Record{Offset: int64(100 + 10*post), Value: []byte(image)})
		posts = append(posts, `{"post_op":"create","post_id":"a"}`)
		for i := range n {
			rows = append(rows, fmt.Sprintf(`{"pair_post":%d,"pair_index":%d,"pair_image":%q}`, post, i, image))
		}
	}
	b := schematest.NewBatch(tb, alloc, records...)
	schematest.AddPosts(tb, alloc, b, schemas.PostFields(), posts...)
	b.SetPairs(schematest.Rows(tb, alloc, schemas.PairFields(), rows...))
	return b
}

// A batch holds of the budget what it may need next, and no more.
func TestABatchGivesBackWhatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	m := NewMetrics(prometheus.NewRegistry(), nil)
	b := newBudget(config.Queue{MaxBatches: 4, MaxBytes: 64 << 20}, m)
	b.expect(3000, 500)
	f, err := b.reserve(t.Context(), 1<<20)
	require.NoError(t, err)
	require.Equal(t, int64(2<<20+rowsOverhead), gauge(m.queueBytes))
	require.Equal(t, int64(1), gauge(m.queueBatches))

	f.batch = decoded(t, alloc, 2, 3)
	f.settle()
	records := gauge(m.queueBytes)
	require.Greater(t, records, int64(7*1026))
	require.Less(t, records, int64(20<<10))

	require.NoError(t, f.see(t.Context()))
	require.Equal(t, records+5*3500, gauge(m.queueBytes))

	f.batch.DropPairs(schemas.PairImage)
	f.seen(alloc)
	require.Less(t, gauge(m.queueBytes), 5*3500+records-7*1026)
	before := gauge(m.queueBytes)
	f.inferred(alloc)
	require.Equal(t, before-5*3000, gauge(m.queueBytes))

	f.release()
	require.Zero(t, gauge(m.queueBytes))
	require.Zero(t, gauge(m.queueBatches))
}

// A batch whose pairs would take more than there is for them is cut between
// two posts.
func TestABatchIsCutWhereItsPairsNoLongerFit(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := newBudget(config.Queue{MaxBatches: 4, MaxBytes: 4 * 10_000}, nil)
	b.expect(900, 100) // 10 pairs
	for _, c := range []struct {
		pairs []int
		at    int64
		over  bool
	}{
		{[]int{5, 5}, 0, false},
		{[]int{5, 5, 0, 0}, 0, false},
		{[]int{5, 6}, 110, true},
		{[]int{5, 0, 5, 1}, 130, true},
		{[]int{11}, 0, false},
		{[]int{11, 0}, 110, true},
		{[]int{20, 20}, 110, true},
	} {
		batch := decoded(t, alloc, c.pairs...)
		at, over := b.cut(batch)
		require.Equal(t, c.over, over, c.pairs)
		require.Equal(t, c.at, at, c.pairs)
		batch.Release()
	}
}

// Many partitions with batches of all sizes keep to the budget, and all of them
// get through.
func TestPartitionsShareTheBudget(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	m := NewMetrics(prometheus.NewRegistry(), nil)
	b := newBudget(config.Queue{MaxBatches: 12, MaxBytes: most}, m)
	b.expect(20_000, 1000)
	kept := func() {
		if n := gauge(m.queueBytes); n > most {
			t.Errorf("%d bytes are reserved", n)
		}
		if n := gauge(m.queueBatches); n > 12 {
			t.Errorf("%d batches", n)
		}
	}
	var group sync.WaitGroup
	for p := range 40 {
		r := rand.New(rand.NewPCG(uint64(p), 3))
		passed := make(chan *flight, 1)
		group.Go(func() {
			defer close(passed)
			for range 25 {
				f, err := b.reserve(t.Context(), r.IntN(700<<10))
				if err != nil {
					t.Error(err)
					return
				}
				kept()
				f.batch = decoded(t, alloc, r.IntN(4), r.IntN(30))
				f.settle()
				if err := f.see(t.Context()); err != nil {
					t.Error(err)
				}
				kept()
				f.batch.DropPairs(schemas.PairImage)
				f.seen(alloc)
				passed <- f
			}
		})
		group.Go(func() {
			for f := range passed {
				f.inferred(alloc)
				kept()
				f.release()
			}
		})
	}
	group.Wait()
	require.Zero(t, gauge(m.queueBytes))
	require.Zero(t, gauge(m.queueBatches))
}
