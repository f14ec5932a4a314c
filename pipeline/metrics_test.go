package pipeline

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

// nonZero returns the samples of a registry that are not zero, histograms as their count.
func nonZero(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "itrstream_")
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			if v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); v != 0 {
				found[name] = v
			}
		}
	}
	return found
}

func TestWhatABatchBecameIsCounted(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := schematest.Decoded(t, alloc,
		[]string{`{"post_op":"create","post_id":"p0"}`, `{"post_op":"delete","post_id":"p1"}`, `{}`, `{"post_op":"create","post_id":"p3"}`, `{"post_op":"create","post_id":"p4"}`},
		[]string{`{"pair_post":0,"pair_index":0}`, `{"pair_post":0,"pair_index":1}`, `{"pair_post":0,"pair_index":2}`, `{"pair_post":3,"pair_index":0}`, `{"pair_post":4,"pair_index":0}`})
	defer b.Release()
	schematest.AddPairs(t, alloc, b, schemas.MediaFields(1)[2:3], `{}`, `{}`, `{"pair_failure":"corrupt"}`, `{}`, `{"pair_failure":"unreachable"}`)
	schematest.AddPairs(t, alloc, b, schemas.InferFields(1)[:1],
		`{"pair_scores":[0.1,0.6,0.2,0.1]}`, `{"pair_scores":[0.1,0.1,0.1,0.7]}`, `{}`, `{"pair_scores":[0.4,0.4,0.1,0.1]}`, `{}`)
	b.Reject(2, schemas.Reject{Stage: stageDecode, Reason: schemas.ReasonMalformed})
	b.Reject(4, schemas.Reject{Stage: stageMedia, Reason: schemas.ReasonMediaFailed})

	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, slog.New(slog.DiscardHandler))
	require.Empty(t, nonZero(t, reg))
	m.committed(b, time.Unix(1_700_000_000, 500_000_000))
	require.Equal(t, map[string]float64{
		"last_progress_timestamp_seconds": 1_700_000_000.5,
		"posts_total result":              2, "posts_total tombstone": 1, "posts_total dead_letter": 2,
		"rejects_total malformed decode": 1, "rejects_total media_failed media": 1,
		"pair_failures_total corrupt": 1, "pair_failures_total unreachable": 1,
		"pairs_total image_adds": 1, "pairs_total both": 1, "pairs_total neither": 1,
	}, nonZero(t, reg))
}

// What is in the queue is what has not left it.
func TestTheQueueIsMeasured(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, slog.New(slog.DiscardHandler))
	m.started(config.Queue{MaxBatches: 4, MaxBytes: 1 << 20}, time.Unix(1, 0))
	b := newBudget(config.Queue{MaxBatches: 4, MaxBytes: 1 << 20}, m)
	first, err := b.reserve(t.Context(), 1000)
	require.NoError(t, err)
	one := nonZero(t, reg)
	require.EqualValues(t, 1, one["queue_batches"])
	require.Greater(t, one["queue_bytes"], 1000.0)
	second, err := b.reserve(t.Context(), 1000)
	require.NoError(t, err)
	require.EqualValues(t, 2, testutil.ToFloat64(m.queueBatches))
	require.EqualValues(t, 2*one["queue_bytes"], testutil.ToFloat64(m.queueBytes))
	first.release()
	second.release()
	require.Equal(t, map[string]float64{"queue_capacity_batches": 4, "queue_capacity_bytes": 1 << 20, "last_progress_timestamp_seconds": 1}, nonZero(t, reg))
}
