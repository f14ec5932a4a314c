package cluster_test

import (
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// TestStateEvents checks what a state says against what was folded, and that
// it is not said too often, whichever worker folds.
func TestStateEvents(t *testing.T) {
	t.Parallel()
	now := epoch
	config := smallConfig()
	config.K, config.Bootstrap, config.ReportEvery = 2, 20, 10*time.Second
	store := clustertest.NewMemory(fixedNow)
	var workers []*cluster.Stage
	for seed := range uint64(2) {
		s, err := cluster.New(config, cluster.Settings{
			Store: store, Namespace: "group", ModelDigest: "sha256:9", Dim: dim,
			Now: func() time.Time { return now }, Rand: seeded(seed),
		})
		require.NoError(t, err)
		workers = append(workers, s)
	}
	m := clustertest.NewMixture(2, dim, 0.05, 1)
	f := newFeed(m, partition(0), 400)
	reported := map[string]time.Time{}
	counts, labels := map[string]uint64{}, map[string]schemas.Relation{}
	var states []schemas.ClusterEvent
	for from := int64(0); from < 400; from += 20 {
		c, err := workers[from/20%2].Claim(t.Context(), f.partition, f.position(-1))
		require.NoError(t, err)
		b := f.batch(memory.DefaultAllocator, from, from+20)
		require.NoError(t, c.Fold(t.Context(), b))
		for i, a := range columns(b) {
			counts[a.cluster]++
			labels[a.cluster] = f.labels[from+int64(i)]
		}
		for _, e := range b.Events {
			require.Equal(t, "state", e.Type)
			require.Equal(t, schemas.ClusterSchema, e.Schema)
			require.Equal(t, "group", e.Namespace)
			require.Equal(t, "sha256:9", e.ModelDigest)
			require.Positive(t, e.Version)
			if last, ok := reported[e.Cluster]; ok {
				require.GreaterOrEqual(t, now.Sub(last), config.ReportEvery)
			}
			reported[e.Cluster] = now
			states = append(states, e)
		}
		now = now.Add(3 * time.Second)
	}
	require.Len(t, reported, 2)
	// 57 seconds at one in ten seconds, rounded up to batches of 3 s.
	require.Len(t, states, 2*5)
	total := uint64(0)
	for _, e := range states[len(states)-2:] {
		total += e.Count
		require.InDelta(t, float64(e.Count), e.Size, 0.05*float64(e.Count), "hardly decayed yet")
		require.Len(t, e.Representatives, 3)
		shares := []float64{e.Labels.Neither, e.Labels.ImageAdds, e.Labels.TextRepresented, e.Labels.Both}
		require.InDelta(t, 1, shares[labels[e.Cluster]], 1e-9, "each component has one relation")
		for _, post := range e.Representatives {
			require.Regexp(t, `^posts/0-\d+$`, post)
		}
	}
	require.Equal(t, uint64(360), total, "as of the last report, two batches before the end")
	require.Equal(t, uint64(20), counts[""], "bootstrapping")
}

// TestAlarmNamesTheCluster sends pairs that are far from everything known.
func TestAlarmNamesTheCluster(t *testing.T) {
	t.Parallel()
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	s := newStream(t, smallConfig(), 1, 50)
	xs, _ := draws(m, 64+1000)
	_, events := s.fold(t.Context(), t, xs)
	for _, e := range events {
		require.NotEqual(t, "alarm", e.Type)
	}
	m.Spread = 0.3
	xs, _ = draws(m, 200)
	_, events = s.fold(t.Context(), t, xs)
	var alarms []schemas.ClusterEvent
	for _, e := range events {
		if e.Type == "alarm" {
			alarms = append(alarms, e)
		}
	}
	require.Len(t, alarms, 1, "once, not with every batch")
	require.Greater(t, alarms[0].Novel, 0.05)
	require.NotEmpty(t, alarms[0].Cluster)
}

// TestOperatorChangesK starts again with more and with fewer clusters, on what
// is there.
func TestOperatorChangesK(t *testing.T) {
	t.Parallel()
	m := clustertest.NewMixture(12, dim, 0.05, 1)
	s := newStream(t, smallConfig(), 1, 50)
	xs, _ := draws(m, 500)
	s.fold(t.Context(), t, xs)
	restart := func(k, halfLife int) cluster.Totals {
		c := smallConfig()
		c.K, c.Bootstrap, c.HalfLife = k, k, halfLife
		s.stage = newStage(t, c, s.store, uint64(k))
		var err error
		s.claim, err = s.stage.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: 1 << 40})
		require.NoError(t, err)
		xs, _ := draws(m, 2000)
		_, events := s.fold(t.Context(), t, xs)
		for _, e := range events {
			if e.Type == "born" && k > 8 {
				require.Empty(t, e.Parent)
			}
		}
		got, err := s.stage.Totals(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(s.next), got.Count)
		return got
	}
	require.Equal(t, 12, restart(12, 0).Clusters)
	copy(m.Centres[2:], m.Centres[:2]) // ten of twelve starve
	for range 4 {
		copy(m.Centres[4:], m.Centres[:4])
	}
	require.Less(t, restart(4, 100).Clusters, 12)
}
