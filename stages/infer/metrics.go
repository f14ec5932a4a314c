package infer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics measure the runs of the model. nil measures nothing.
type Metrics struct {
	pairs prometheus.Histogram
}

// NewMetrics makes the stage's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	return &Metrics{
		pairs: promauto.With(reg).NewHistogram(prometheus.HistogramOpts{
			Name:    "itrstream_model_run_pairs",
			Help:    "Pairs that shared one run of the model; infer.max_batch is the most.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
	}
}

func (m *Metrics) run(pairs int) {
	if m != nil {
		m.pairs.Observe(float64(pairs))
	}
}
