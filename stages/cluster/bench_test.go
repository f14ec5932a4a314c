package cluster_test

import (
	"fmt"
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
			snapshot, err := clustertest.Filled(b.Context(), m.Centres)
			require.NoError(b, err)
			require.Len(b, snapshot.Rows, k)
			store := clustertest.NewMemory(time.Now)
			require.NoError(b, cluster.Restore(b.Context(), store, snapshot, false))
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
