package infer

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestRunsAreMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		alloc := memory.NewGoAllocator()
		cfg := DefaultConfig()
		cfg.MaxBatch = 3
		stage, err := New(cfg, Settings{Encoder: &fakeEncoder{}, Alloc: alloc, Metrics: NewMetrics(reg)})
		require.NoError(t, err)
		defer stage.Close()
		batch := newBatch(t, alloc, []testPost{post("a", 1, 2, 3, 4)})
		defer batch.Release()
		require.NoError(t, stage.Process(t.Context(), batch))
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP itrstream_model_run_pairs Pairs that shared one run of the model; infer.max_batch is the most.
# TYPE itrstream_model_run_pairs histogram
itrstream_model_run_pairs_bucket{le="1"} 1
itrstream_model_run_pairs_bucket{le="2"} 1
itrstream_model_run_pairs_bucket{le="4"} 2
itrstream_model_run_pairs_bucket{le="8"} 2
itrstream_model_run_pairs_bucket{le="16"} 2
itrstream_model_run_pairs_bucket{le="32"} 2
itrstream_model_run_pairs_bucket{le="64"} 2
itrstream_model_run_pairs_bucket{le="128"} 2
itrstream_model_run_pairs_bucket{le="256"} 2
itrstream_model_run_pairs_bucket{le="512"} 2
itrstream_model_run_pairs_bucket{le="1024"} 2
itrstream_model_run_pairs_bucket{le="+Inf"} 2
itrstream_model_run_pairs_sum 4
itrstream_model_run_pairs_count 2
`)))
	})
}
