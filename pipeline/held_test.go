package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/collect"
)

// pictures is a batch of one post with two images at each of n offsets from
// first on.
func pictures(tb testing.TB, p schemas.Partition, first int64, n int) *schemas.Batch {
	tb.Helper()
	var records []schematest.Record
	var posts, pairs []string
	for i := range n {
		records = append(records, schematest.Record{Offset: first + int64(i), Value: []byte("{}")})
		posts = append(posts, fmt.Sprintf(`{"post_op":"create","post_id":"p%d","post_text":"words"}`, i))
		for j := range 2 {
			pairs = append(pairs, fmt.Sprintf(`{"pair_post":%d,"pair_index":%d}`, i, j))
		}
	}
	alloc := memory.DefaultAllocator
	b := schematest.NewBatchOf(tb, alloc, p, schemas.OffsetRange{First: first, End: first + int64(n)}, records...)
	schematest.AddPosts(tb, alloc, b, schemas.PostFields(), posts...)
	b.SetPairs(schematest.Rows(tb, alloc, schemas.PairFields(), pairs...))
	return b
}

// Whatever comes and goes, the images are those that found room, their bytes
// are counted, and none outlives its batch.
func TestHeldImagesGoWithTheirBatch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		const limit = 1000
		reg := prometheus.NewRegistry()
		h := newHeld(limit, collect.NewMetrics(reg))
		type image struct{ batch, row int }
		var batches []*schemas.Batch
		want := make(map[image][]byte)
		sum := func() (n int64) {
			for _, data := range want {
				n += int64(len(data))
			}
			return n
		}
		for step := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch {
			case len(batches) < 2 || rapid.IntRange(0, 4).Draw(rt, "new") == 0:
				p := schemas.Partition{Topic: "posts", ID: rapid.Int32Range(0, 1).Draw(rt, "partition")}
				batches = append(batches, pictures(t, p, int64(100*step), 3))
			case rapid.IntRange(0, 4).Draw(rt, "gone") == 0:
				i := rapid.IntRange(0, len(batches)-1).Draw(rt, "which")
				h.forget(batches[i].Partition, batches[i].Offsets)
				for row := range 6 {
					delete(want, image{i, row})
				}
			default:
				i, row := rapid.IntRange(0, len(batches)-1).Draw(rt, "batch"), rapid.IntRange(0, 5).Draw(rt, "row")
				data := []byte(strings.Repeat("x", rapid.IntRange(1, 600).Draw(rt, "bytes")))
				if _, again := want[image{i, row}]; !again && sum()+int64(len(data)) <= limit {
					want[image{i, row}] = []byte(strings.Clone(string(data)))
				}
				h.put(batches[i], row, heldImage{data: data})
				clear(data) // it was only borrowed
			}
		}
		for i, b := range batches {
			for row := range 6 {
				got, ok := h.get(b, row)
				data, wanted := want[image{i, row}]
				require.Equal(rt, wanted, ok)
				require.Equal(rt, data, got.data)
			}
		}
		require.Equal(rt, sum(), h.bytes)
		require.NoError(rt, testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP itrstream_collect_held_bytes Encoded images in memory that wait for the choice; collect.hold_bytes is the most.
# TYPE itrstream_collect_held_bytes gauge
itrstream_collect_held_bytes %d
`, sum())), "itrstream_collect_held_bytes"))
		for _, b := range batches {
			h.forget(b.Partition, b.Offsets)
			b.Release()
		}
		require.Zero(rt, h.bytes)
		require.Empty(rt, h.images)
	})
}
