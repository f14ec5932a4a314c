package cluster_test

import (
	"fmt"
	"maps"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// BenchmarkFold folds batches of 256 pairs of width 768, the store in memory.
func BenchmarkFold(b *testing.B) {
	for _, k := range []int{4, 64, 1000, 10_000} {
		b.Run(fmt.Sprintf("k=%d", k), func(b *testing.B) {
			const wide, size, distinct = 768, 256, 8192
			m := clustertest.NewMixture(k, wide, 0.01, 1)
			xs := make([][]float32, distinct)
			for i := range xs {
				xs[i], _ = m.Any()
			}
			store := filled(b, m.Centres)
			c := cluster.DefaultConfig()
			c.K = k
			s, err := cluster.New(c, cluster.Settings{Store: store, Dim: wide, Now: time.Now})
			require.NoError(b, err)
			claim, err := s.Claim(b.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: math.MaxInt64})
			require.NoError(b, err)
			var spent time.Duration
			fold := func() {
				var posts []clustertest.Post
				from := claim.Cursor()
				for o := from; o < from+size; o++ {
					posts = append(posts, clustertest.Post{Offset: o, ID: "post", Embeddings: [][]float32{xs[o%distinct]}})
				}
				batch := clustertest.NewBatch(memory.DefaultAllocator, partition(0), schemas.OffsetRange{First: from, End: from + size}, wide, posts)
				before := processorTime()
				require.NoError(b, claim.Fold(b.Context(), batch))
				spent += processorTime() - before
				batch.Release()
			}
			for range 4 {
				fold()
			}
			spent = 0
			for b.Loop() {
				fold()
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "CPU-µs/fold")
		})
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// filled returns a store with these centroids: each few of them are the first
// centroids of a stage of their own.
func filled(b *testing.B, centres [][]float32) cluster.CentroidStore {
	const few = 50
	var all cluster.Snapshot
	for from := 0; from < len(centres); from += few {
		part := centres[from:min(from+few, len(centres))]
		store := clustertest.NewMemory(time.Now)
		c := cluster.DefaultConfig()
		c.K, c.Bootstrap = len(part), len(part)
		s, err := cluster.New(c, cluster.Settings{Store: store, Dim: len(part[0]), Now: time.Now})
		require.NoError(b, err)
		claim, err := s.Claim(b.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: math.MaxInt64})
		require.NoError(b, err)
		var posts []clustertest.Post
		for i, x := range part {
			posts = append(posts, clustertest.Post{Offset: int64(i), Embeddings: [][]float32{x}})
		}
		for _, span := range []schemas.OffsetRange{{First: 0, End: int64(len(part))}, {First: int64(len(part)), End: int64(len(part)) + 1}} {
			batch := clustertest.NewBatch(memory.DefaultAllocator, partition(0), span, len(part[0]), posts)
			require.NoError(b, claim.Fold(b.Context(), batch))
			batch.Release()
			posts = posts[:1]
			posts[0].Offset = span.End
		}
		got, err := store.Snapshot(b.Context())
		require.NoError(b, err)
		if all.Rows == nil {
			all = got
			continue
		}
		maps.Copy(all.Rows, got.Rows)
		all.Pairs += got.Pairs
	}
	all.Partitions = nil
	require.Len(b, all.Rows, len(centres))
	store := clustertest.NewMemory(time.Now)
	require.NoError(b, cluster.Restore(b.Context(), store, all, false))
	return store
}
