package redis_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// BenchmarkFold folds batches of 256 pairs of width 512 into one server.
func BenchmarkFold(b *testing.B) {
	for name, start := range map[string]func(*testing.B) string{
		"embedded": func(b *testing.B) string { return startEmbedded(b) },
		"real":     func(b *testing.B) string { return redistest.Start(b, redistest.Options{}).Addr() },
	} {
		for _, k := range []int{8, 64, 1000} {
			b.Run(fmt.Sprintf("%s/k=%d", name, k), func(b *testing.B) { benchmarkFold(b, start(b), k) })
		}
	}
}

func benchmarkFold(b *testing.B, addr string, k int) {
	const wide, size, distinct = 512, 256, 8192
	m := clustertest.NewMixture(k, wide, 0.01, 1)
	xs := make([][]float32, distinct)
	for i := range xs {
		xs[i], _ = m.Any()
	}
	c := cluster.DefaultConfig()
	c.K, c.Bootstrap = k, max(k, 1024)
	s, err := cluster.New(c, cluster.Settings{Store: dial(b, addr).Store(freshNamespace(), "d"), Dim: wide, Now: time.Now})
	require.NoError(b, err)
	p := schemas.Partition{Topic: "posts"}
	claim, err := s.Claim(b.Context(), p, cluster.Position{Base: -1, Committed: -1, LogEnd: math.MaxInt64})
	require.NoError(b, err)
	fold := func() {
		var posts []clustertest.Post
		from := claim.Cursor()
		for o := from; o < from+size; o++ {
			posts = append(posts, clustertest.Post{Offset: o, ID: "post", Embeddings: [][]float32{xs[o%distinct]}})
		}
		batch := clustertest.NewBatch(memory.DefaultAllocator, p, schemas.OffsetRange{First: from, End: from + size}, wide, posts)
		require.NoError(b, claim.Fold(b.Context(), batch))
		batch.Release()
	}
	for range 8 {
		fold()
	}
	for b.Loop() {
		fold()
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}
