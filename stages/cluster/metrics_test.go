package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// away loses the first answer to a fold, which is applied.
type away struct {
	cluster.CentroidStore
	lost bool
}

func (a *away) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	reply, err := a.CentroidStore.Fold(ctx, r)
	if err == nil && !a.lost {
		a.lost = true
		return cluster.FoldReply{}, &stages.Transient{Err: errors.New("no answer")}
	}
	return reply, err
}

func TestFoldsAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s, err := cluster.New(smallConfig(), cluster.Settings{
		Store: &away{CentroidStore: clustertest.NewMemory(fixedNow)}, Namespace: "test", ModelDigest: "sha256:0", Dim: dim,
		Now: fixedNow, Rand: seeded(1), Metrics: cluster.NewMetrics(reg),
	})
	require.NoError(t, err)
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	f := newFeed(m, partition(0), 16*70)
	c, err := s.Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	b := f.batch(memory.DefaultAllocator, 0, 16)
	defer b.Release()
	require.True(t, stages.IsTransient(c.Fold(t.Context(), b)))
	require.NoError(t, c.Fold(t.Context(), b))
	f.foldAll(t.Context(), t, s, 16, nil)
	m.Spread = 0.3
	newFeed(m, partition(1), 16*10).foldAll(t.Context(), t, s, 16, nil)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP itrstream_folds_total Attempts to fold a batch into the centroids, by the store's answer; error: none came.
# TYPE itrstream_folds_total counter
itrstream_folds_total{status="behind"} 0
itrstream_folds_total{status="conflict"} 0
itrstream_folds_total{status="cut"} 0
itrstream_folds_total{status="dup"} 1
itrstream_folds_total{status="error"} 1
itrstream_folds_total{status="fenced"} 0
itrstream_folds_total{status="nomodel"} 0
itrstream_folds_total{status="ok"} 79
itrstream_folds_total{status="wait"} 0
# HELP itrstream_novelty_alarms_total Alarms over a share of novel pairs that stayed above cluster.novelty_share.
# TYPE itrstream_novelty_alarms_total counter
itrstream_novelty_alarms_total 1
`)))
}
