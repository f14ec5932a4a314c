package cluster_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// TestColumns folds a batch with every kind of row, and counts the memory.
func TestColumns(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	store := clustertest.NewMemory(fixedNow)
	s, err := cluster.New(smallConfig(), cluster.Settings{Store: store, Dim: dim, Now: fixedNow, Rand: seeded(1), Alloc: alloc})
	require.NoError(t, err)
	f := newFeed(m, partition(0), 70)
	c, err := s.Claim(t.Context(), f.partition, cluster.Position{Base: -1, Committed: -1, LogEnd: 200})
	require.NoError(t, err)
	b := f.batch(alloc, 0, 70)
	require.NoError(t, c.Fold(t.Context(), b))
	b.Release()

	posts := []clustertest.Post{
		{Offset: 75},
		{Offset: 80, Embeddings: [][]float32{m.Draw(0), nil, m.Draw(1)}},
		{Offset: 81, Embeddings: [][]float32{nil}},
		{Offset: 90, ID: strings.Repeat("x", 5000), Embeddings: [][]float32{m.Draw(0)}},
	}
	b = clustertest.NewBatch(alloc, f.partition, schemas.OffsetRange{First: 70, End: 99}, dim, posts)
	require.NoError(t, c.Fold(t.Context(), b))
	got := columns(b)
	require.Equal(t, []string{"assigned", "", "assigned", "", "assigned"},
		[]string{got[0].status, got[1].status, got[2].status, got[3].status, got[4].status})
	require.Equal(t, got[0].cluster, got[4].cluster)
	require.NotEqual(t, got[0].cluster, got[2].cluster)
	for i, field := range schemas.ClusterFields() {
		at := b.Pairs().Schema().FieldIndices(field.Name)
		require.Len(t, at, 1)
		require.Equal(t, field, b.Pairs().Schema().Field(at[0]), "column %d", i)
	}
	b.Release()

	// The same rows as a slice of a larger table.
	whole := clustertest.NewBatch(alloc, f.partition, schemas.OffsetRange{First: 99, End: 199}, dim,
		[]clustertest.Post{{Offset: 100, Embeddings: [][]float32{m.Draw(5), m.Draw(1), nil, m.Draw(0)}}})
	whole.SetPairs(whole.Pairs().NewSlice(1, 4))
	require.NoError(t, c.Fold(t.Context(), whole))
	sliced := columns(whole)
	require.Equal(t, []string{got[2].cluster, "", got[0].cluster}, []string{sliced[0].cluster, sliced[1].cluster, sliced[2].cluster})
	whole.Release()

	total, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(70+3+2), total.Count)
}

func TestBatchWithoutPairs(t *testing.T) {
	t.Parallel()
	s := newStage(t, smallConfig(), clustertest.NewMemory(fixedNow), 1)
	c, err := s.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: 10})
	require.NoError(t, err)
	none := schemas.NewBatch(partition(0), schemas.OffsetRange{First: 0, End: 3}, empty(0, 3).Posts())
	require.NoError(t, c.Fold(t.Context(), none))
	require.Nil(t, none.Pairs())
	rows := empty(3, 5)
	require.NoError(t, c.Fold(t.Context(), rows))
	require.Zero(t, schemas.Col[*array.String](rows.Pairs(), schemas.PairCluster).Len())
}

// TestBrokenInput is what a broken bundle or accelerator gives: the process
// must stop, and the centroids stay whole.
func TestBrokenInput(t *testing.T) {
	t.Parallel()
	unit := func() []float32 { return append([]float32{1}, make([]float32, dim-1)...) }
	for name, tc := range map[string]struct {
		x    []float32
		want string
	}{
		"not a number":  {append([]float32{float32(math.NaN())}, unit()[1:]...), "squared length NaN"},
		"infinite":      {append([]float32{float32(math.Inf(1))}, unit()[1:]...), "squared length +Inf"},
		"not unit":      {append([]float32{2}, unit()[1:]...), "squared length 4 instead of 1"},
		"zero":          {make([]float32, dim), "squared length 0 instead of 1"},
		"another width": {unit()[:dim-1], "embeddings of width 15 where the model has 16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, smallConfig(), clustertest.NewMemory(fixedNow), 1)
			c, err := s.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: 10})
			require.NoError(t, err)
			b := clustertest.NewBatch(memory.DefaultAllocator, partition(0), schemas.OffsetRange{First: 0, End: 3}, len(tc.x),
				[]clustertest.Post{{Offset: 2, Embeddings: [][]float32{tc.x}}})
			require.ErrorContains(t, c.Fold(t.Context(), b), tc.want)
			require.Zero(t, c.Cursor())
		})
	}
	s := newStage(t, smallConfig(), clustertest.NewMemory(fixedNow), 1)
	c, err := s.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: 10})
	require.NoError(t, err)
	b := clustertest.NewBatch(memory.DefaultAllocator, partition(0), schemas.OffsetRange{First: 0, End: 3}, dim,
		[]clustertest.Post{{Offset: 2, Embeddings: [][]float32{unit()}}})
	b.DropPairs(schemas.PairEmbedding)
	require.ErrorContains(t, c.Fold(t.Context(), b), "infer must run first")
}

// evicting is a store that drops the rows to save memory.
type evicting struct {
	cluster.CentroidStore
}

func (e evicting) Load(ctx context.Context) (cluster.State, error) {
	st, err := e.CentroidStore.Load(ctx)
	st.Rows = nil
	return st, err
}

func TestRowsGone(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	f := newFeed(clustertest.NewMixture(8, dim, 0.05, 1), partition(0), 100)
	f.xs = f.xs[:90]
	f.foldAll(t.Context(), t, newStage(t, smallConfig(), store, 1), 10, nil)
	f.xs = f.xs[:100]
	c, err := newStage(t, smallConfig(), evicting{store}, 1).Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	require.ErrorContains(t, c.Fold(t.Context(), f.batch(memory.DefaultAllocator, 90, 100)), "noeviction")
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	require.NoError(t, cluster.DefaultConfig().Validate())
	err := cluster.Config{K: 0, HalfLife: -1, Bootstrap: -1, MaxRefold: -1, SampleBytes: 5, ReportEvery: -1, NoveltyShare: 2}.Validate()
	for _, key := range []string{"k: 0", "half_life: -1", "bootstrap: -1", "max_refold: -1", "sample_bytes: 5", "report_every: -1ns", "novelty_share: 2"} {
		require.ErrorContains(t, err, key)
	}
	c := cluster.DefaultConfig()
	c.K, c.Bootstrap = 8, 7
	require.ErrorContains(t, c.Validate(), "bootstrap: 7 is not allowed; use k (8)")
	c.K, c.Bootstrap, c.SampleBytes = 1000, 0, 1<<20
	_, err = cluster.New(c, cluster.Settings{Store: clustertest.NewMemory(fixedNow), Dim: 512, Now: fixedNow})
	require.ErrorContains(t, err, "sample_bytes: 1048576 holds 509 embeddings of width 512; k = 1000 needs at least as many")
	for _, s := range []cluster.Settings{{}, {Store: clustertest.NewMemory(fixedNow)}, {Store: clustertest.NewMemory(fixedNow), Dim: 2}} {
		_, err = cluster.New(cluster.DefaultConfig(), s)
		require.Error(t, err)
	}
}
