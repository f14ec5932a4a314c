package cluster_test

import (
	"context"
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// worker is a stage at work on a partition of its own.
type worker struct {
	t     *testing.T
	stage *cluster.Stage
	claim *cluster.Claim
}

func newWorker(t *testing.T, c cluster.Config, store cluster.CentroidStore, id int32) *worker {
	t.Helper()
	s := newStage(t, c, store, uint64(id))
	claim, err := s.Claim(t.Context(), partition(id), cluster.Position{Base: -1, Committed: -1, LogEnd: 1 << 40})
	require.NoError(t, err)
	return &worker{t: t, stage: s, claim: claim}
}

// fold folds one batch of one pair an offset.
func (w *worker) fold(p schemas.Partition, xs ...[]float32) []assigned {
	w.t.Helper()
	first := w.claim.Cursor()
	var posts []clustertest.Post
	for i, x := range xs {
		posts = append(posts, clustertest.Post{Offset: first + int64(i), Embeddings: [][]float32{x}})
	}
	span := schemas.OffsetRange{First: first, End: first + int64(len(xs))}
	b := clustertest.NewBatch(memory.DefaultAllocator, p, span, dim, posts)
	defer b.Release()
	require.NoError(w.t, w.claim.Fold(w.t.Context(), b))
	return columns(b)
}

func nearestID(t *testing.T, store cluster.CentroidStore, x []float32) (id string, squared float64) {
	t.Helper()
	st, err := store.Load(t.Context())
	require.NoError(t, err)
	means, err := cluster.MeansOf(st, dim)
	require.NoError(t, err)
	squared = math.Inf(1)
	for name, m := range means {
		var d float64
		for i := range x {
			d += math.Pow(float64(x[i])-float64(m[i]), 2)
		}
		if d < squared {
			id, squared = name, d
		}
	}
	return id, squared
}

// refusals counts the folds that a store refuses.
type refusals struct {
	cluster.CentroidStore
	n int
}

func (r *refusals) Fold(ctx context.Context, q cluster.FoldRequest) (cluster.FoldReply, error) {
	reply, err := r.CentroidStore.Fold(ctx, q)
	if reply.Status == cluster.FoldConflict {
		r.n++
	}
	return reply, err
}

// TestOthersAreReadFirst has two workers move the same centroids in turn. Once
// they know of each other, their folds are no longer refused.
func TestOthersAreReadFirst(t *testing.T) {
	t.Parallel()
	store := &refusals{CentroidStore: clustertest.NewMemory(fixedNow)}
	m := clustertest.NewMixture(8, dim, 0.02, 1)
	one := newWorker(t, smallConfig(), store, 0)
	for i := range 80 {
		one.fold(partition(0), m.Draw(i%8))
	}
	require.Zero(t, store.n, "alone")
	other := newWorker(t, smallConfig(), store, 1)
	for range 10 {
		other.fold(partition(1), m.Draw(3), m.Draw(4))
		one.fold(partition(0), m.Draw(4), m.Draw(3))
	}
	require.Equal(t, 2, store.n, "each meets the other once")
	st, err := one.stage.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(80+10*4), st.Count)
}

// TestNewbornIsSeen has one worker start a centroid. The other notices with
// its next fold, whatever that one touches.
func TestNewbornIsSeen(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(10, dim, 0.02, 1)
	one := newWorker(t, smallConfig(), store, 0)
	for i := range 80 {
		one.fold(partition(0), m.Draw(i%8))
	}
	more := smallConfig()
	more.K = 9
	other := newWorker(t, more, store, 1)
	born := other.fold(partition(1), m.Draw(9))[0].cluster

	one.fold(partition(0), m.Draw(3))
	got := one.fold(partition(0), m.Draw(9))[0]
	require.Equal(t, born, got.cluster)
	require.Less(t, got.distance, float32(0.1))
}

// TestCentroidIsGone has one worker retire the centroid that the other is
// about to use: the pair goes where it belongs now.
func TestCentroidIsGone(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(8, dim, 0.02, 1)
	config := smallConfig()
	config.HalfLife = 10
	one := newWorker(t, config, store, 0)
	for i := range 80 {
		one.fold(partition(0), m.Draw(i%8))
	}
	gone := one.fold(partition(0), m.Draw(5))[0].cluster

	other := newWorker(t, config, store, 1)
	for i := range 400 {
		other.fold(partition(1), m.Draw(i%4))
	}
	for range 60 {
		other.fold(partition(1), m.Draw(5))
	}
	x := m.Draw(5)
	want, squared := nearestID(t, store, x)
	require.NotEqual(t, gone, want, "retired")
	require.Less(t, squared, 0.1)
	got := one.fold(partition(0), x)[0]
	require.Equal(t, want, got.cluster)
	require.InDelta(t, squared, float64(got.distance), 1e-3)
}
