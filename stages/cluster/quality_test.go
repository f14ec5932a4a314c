package cluster_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// stream feeds a stage batch after batch without keeping them.
type stream struct {
	stage *cluster.Stage
	store *clustertest.Memory
	claim *cluster.Claim
	size  int
	next  int64
}

func newStream(t *testing.T, c cluster.Config, seed uint64, size int) *stream {
	t.Helper()
	s := &stream{store: clustertest.NewMemory(fixedNow), size: size}
	s.stage = newStage(t, c, s.store, seed)
	var err error
	s.claim, err = s.stage.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: 1 << 40})
	require.NoError(t, err)
	return s
}

// fold folds xs and returns their clusters and what was reported.
func (s *stream) fold(ctx context.Context, t *testing.T, xs [][]float32) (ids []string, events []schemas.ClusterEvent) {
	t.Helper()
	for from := 0; from < len(xs); from += s.size {
		var posts []clustertest.Post
		for i, x := range xs[from:min(from+s.size, len(xs))] {
			posts = append(posts, clustertest.Post{Offset: s.next + int64(i), Embeddings: [][]float32{x}})
		}
		span := schemas.OffsetRange{First: s.next, End: s.next + int64(len(posts))}
		b := clustertest.NewBatch(memory.DefaultAllocator, partition(0), span, dim, posts)
		require.NoError(t, s.claim.Fold(ctx, b))
		for _, a := range columns(b) {
			ids = append(ids, a.cluster)
		}
		events = append(events, b.Events...)
		s.next = span.End
		b.Release()
	}
	return ids, events
}

func (s *stream) means(t *testing.T) [][]float32 {
	t.Helper()
	st, err := s.store.Load(t.Context())
	require.NoError(t, err)
	means, err := cluster.MeansOf(st, dim)
	require.NoError(t, err)
	return slices.Collect(maps.Values(means))
}

func draws(m *clustertest.Mixture, n int) (xs [][]float32, components []int) {
	for range n {
		x, c := m.Any()
		xs, components = append(xs, x), append(components, c)
	}
	return xs, components
}

// relativeSSE compares the stream's centroids with k-means over all of xs.
func (s *stream) relativeSSE(t *testing.T, xs [][]float32, k int) float64 {
	t.Helper()
	best, err := cluster.BatchKMeans(xs, k, rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, err)
	return cluster.SSE(xs, s.means(t)) / cluster.SSE(xs, best)
}

// TestAsGoodAsBatchKMeans streams a mixture once and compares the result with
// k-means over the same data at once. A rule with a constant rate lands at
// 1.3 and above.
func TestAsGoodAsBatchKMeans(t *testing.T) {
	t.Parallel()
	for _, k := range []int{8, 64} {
		for seed := range uint64(3) {
			m := clustertest.NewMixture(k, dim, 0.12, seed)
			c := smallConfig()
			c.K, c.Bootstrap = k, 20*k
			s := newStream(t, c, seed, 128)
			xs, _ := draws(m, 100*k)
			s.fold(t.Context(), t, xs)
			ratio := s.relativeSSE(t, xs, k)
			t.Logf("k %d, seed %d: SSE %.3f of batch k-means", k, seed, ratio)
			require.Less(t, ratio, 1.10)
		}
	}
}

// TestIDsFollowDrift moves all centres slowly, and expects each component to
// keep its cluster while the centroids keep up.
func TestIDsFollowDrift(t *testing.T) {
	t.Parallel()
	const k = 8
	m := clustertest.NewMixture(k, dim, 0.05, 4)
	goal := clustertest.NewMixture(k, dim, 0, 5)
	c := smallConfig()
	c.HalfLife = 500
	s := newStream(t, c, 4, 64)
	xs, _ := draws(m, 64+512)
	s.fold(t.Context(), t, xs)
	before := s.majority(t, m)
	start := slices.Clone(m.Centres)
	for step := 1; step <= 100; step++ {
		for i := range m.Centres {
			mixed := make([]float32, dim)
			for j := range mixed {
				mixed[j] = start[i][j] + float32(step)/200*(goal.Centres[i][j]-start[i][j])
			}
			m.Centres[i] = m.Unit(mixed, 0)
		}
		xs, _ = draws(m, 128)
		s.fold(t.Context(), t, xs)
	}
	after := s.majority(t, m)
	stable := 0
	for i := range before {
		if before[i] == after[i] {
			stable++
		}
	}
	require.GreaterOrEqual(t, stable, k-1, "components that kept their cluster's id")
	recent, _ := draws(m, 2000)
	require.Less(t, s.relativeSSE(t, recent, k), 1.15)
}

// majority returns the cluster that most of each component's pairs go to.
func (s *stream) majority(t *testing.T, m *clustertest.Mixture) []string {
	t.Helper()
	out := make([]string, len(m.Centres))
	for c := range m.Centres {
		var xs [][]float32
		for range 20 {
			xs = append(xs, m.Draw(c))
		}
		counts := map[string]int{}
		ids, _ := s.fold(t.Context(), t, xs)
		for _, id := range ids {
			if counts[id]++; counts[id] > counts[out[c]] {
				out[c] = id
			}
		}
	}
	return out
}

// TestDeadCentroidsMove lets half of the components end and others begin.
func TestDeadCentroidsMove(t *testing.T) {
	t.Parallel()
	const k = 8
	m := clustertest.NewMixture(k, dim, 0.05, 9)
	c := smallConfig()
	c.HalfLife = 300
	s := newStream(t, c, 9, 64)
	xs, _ := draws(m, 1000)
	s.fold(t.Context(), t, xs)
	copy(m.Centres[:4], clustertest.NewMixture(4, dim, 0, 10).Centres)
	xs, _ = draws(m, 8000)
	ids, events := s.fold(t.Context(), t, xs)

	live := map[string]bool{}
	st, err := s.stage.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, k, st.Clusters)
	require.Equal(t, uint64(9000), st.Count)
	require.Positive(t, st.Retired)
	for _, size := range st.Sizes {
		live[size.Cluster] = true
	}
	var retired, born []schemas.ClusterEvent
	for _, e := range events {
		switch e.Type {
		case "retired":
			retired = append(retired, e)
		case "born":
			born = append(born, e)
			require.Contains(t, ids, e.Cluster, "a newborn has the pair that started it")
		}
	}
	require.NotEmpty(t, born)
	require.Len(t, retired, len(born))
	for i, e := range born {
		require.Equal(t, retired[i].Cluster, e.Parent)
		require.Equal(t, retired[i].Version, e.Version)
		require.False(t, live[e.Parent], "a retired id never comes back")
		require.Less(t, e.Overlap, 1.0)
		require.Positive(t, retired[i].Count)
	}
	require.Less(t, s.relativeSSE(t, xs[6000:], k), 1.15)
}
