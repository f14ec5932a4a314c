package media

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics measure how often an image had come before. nil measures nothing.
type Metrics struct {
	hits, waits, misses prometheus.Counter
}

// NewMetrics makes the stage's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	lookups := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_image_cache_total",
		Help: "Images of pairs, by whether the same file had been seen before (hit), was being seen for another pair (shared), or had to be (miss); " +
			"media.cache_bytes holds the latest.",
	}, []string{"lookup"})
	return &Metrics{
		hits: lookups.WithLabelValues("hit"), waits: lookups.WithLabelValues("shared"), misses: lookups.WithLabelValues("miss"),
	}
}

func (m *Metrics) hit() {
	if m != nil {
		m.hits.Inc()
	}
}

func (m *Metrics) shared() {
	if m != nil {
		m.waits.Inc()
	}
}

func (m *Metrics) missed() {
	if m != nil {
		m.misses.Inc()
	}
}
