package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

const dim = 16

var epoch = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func fixedNow() time.Time { return epoch }

// seeded is a source of random bytes that is the same in every run.
func seeded(n uint64) *rand.ChaCha8 {
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(n >> (8 * i))
	}
	return rand.NewChaCha8(seed)
}

func smallConfig() cluster.Config {
	c := cluster.DefaultConfig()
	c.K, c.Bootstrap, c.ReportEvery = 8, 64, 0
	return c
}

func newStage(tb testing.TB, c cluster.Config, store cluster.CentroidStore, seed uint64) *cluster.Stage {
	tb.Helper()
	s, err := cluster.New(c, cluster.Settings{
		Store: store, Namespace: "test", ModelDigest: "sha256:0", Dim: dim,
		Now: fixedNow, Rand: seeded(seed),
	})
	require.NoError(tb, err)
	return s
}

// feed is a partition's log, one pair a post, and what was sent of it.
type feed struct {
	partition schemas.Partition
	xs        [][]float32
	labels    []schemas.Relation
	checksum  uint64
}

func newFeed(m *clustertest.Mixture, p schemas.Partition, n int) *feed {
	f := &feed{partition: p}
	for i := range n {
		x, c := m.Any()
		f.xs, f.labels = append(f.xs, x), append(f.labels, schemas.Relation(c%schemas.Relations))
		f.checksum += schemas.PairChecksum(p, int64(i), 0)
	}
	return f
}

func (f *feed) batch(alloc memory.Allocator, from, to int64) *schemas.Batch {
	var posts []clustertest.Post
	for o := from; o < to; o++ {
		posts = append(posts, clustertest.Post{
			Offset: o, ID: fmt.Sprintf("%s-%d", f.partition, o), Label: f.labels[o], Embeddings: [][]float32{f.xs[o]},
		})
	}
	return clustertest.NewBatch(alloc, f.partition, schemas.OffsetRange{First: from, End: to}, dim, posts)
}

func (f *feed) position(committed int64) cluster.Position {
	return cluster.Position{Base: -1, Committed: committed, LogEnd: int64(len(f.xs))}
}

// foldAll claims the partition and folds what is left of it.
func (f *feed) foldAll(ctx context.Context, tb testing.TB, s *cluster.Stage, size int64, each func(*schemas.Batch)) {
	tb.Helper()
	c, err := s.Claim(ctx, f.partition, f.position(-1))
	require.NoError(tb, err)
	for from := c.Cursor(); from < int64(len(f.xs)); from = c.Cursor() {
		b := f.batch(memory.DefaultAllocator, from, min(from+size, int64(len(f.xs))))
		require.NoError(tb, c.Fold(ctx, b))
		if each != nil {
			each(b)
		}
		b.Release()
	}
}

type assigned struct {
	cluster, status string
	distance        float32
	novel           bool
	version         int64
}

// columns reads back what the stage has added.
func columns(b *schemas.Batch) []assigned {
	rec := b.Pairs()
	id, status := schemas.Col[*array.String](rec, schemas.PairCluster), schemas.Col[*array.String](rec, schemas.PairClusterStatus)
	distance, novel := schemas.Col[*array.Float32](rec, schemas.PairDistance), schemas.Col[*array.Boolean](rec, schemas.PairNovelty)
	version := schemas.Col[*array.Int64](rec, schemas.PairClusterVer)
	out := make([]assigned, rec.NumRows())
	for i := range out {
		if status.IsValid(i) {
			out[i].status = status.Value(i)
		}
		if id.IsValid(i) {
			out[i] = assigned{id.Value(i), status.Value(i), distance.Value(i), novel.Value(i), version.Value(i)}
		}
	}
	return out
}

func partition(id int32) schemas.Partition { return schemas.Partition{Topic: "posts", ID: id} }

func TestFirstCentroids(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	s := newStage(t, smallConfig(), store, 1)
	f := newFeed(clustertest.NewMixture(8, dim, 0.05, 1), partition(0), 400)
	statuses := map[string]int{}
	f.foldAll(t.Context(), t, s, 16, func(b *schemas.Batch) {
		for _, a := range columns(b) {
			statuses[a.status]++
		}
	})
	require.Equal(t, map[string]int{"bootstrapping": 64, "assigned": 336}, statuses)
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(400), got.Count)
	require.Equal(t, f.checksum, got.Checksum)
	require.Equal(t, 8, got.Clusters)
	require.False(t, got.Bootstrapping)
}
