package media

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/schemas"
	stage "github.com/itrstream/itrstream/stages/media"
)

// Metrics measure fetches. nil measures nothing.
type Metrics struct {
	ok, stopped prometheus.Counter
	failed      map[schemas.Reason]prometheus.Counter
	duration    prometheus.Histogram
	bytes       prometheus.Counter
}

// NewMetrics makes the connector's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	in := promauto.With(reg)
	fetches := in.NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_fetches_total",
		Help: "Fetches of images, by how they ended: ok, stopped by us, or the reason of the failure; repeats and redirects count as one.",
	}, []string{"outcome"})
	m := &Metrics{
		ok: fetches.WithLabelValues("ok"), stopped: fetches.WithLabelValues("stopped"),
		failed: make(map[schemas.Reason]prometheus.Counter),
		duration: in.NewHistogram(prometheus.HistogramOpts{
			Name:    "itrstream_fetch_duration_seconds",
			Help:    "Time that the fetch of one image took, with waiting for a turn, repeats and redirects.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 13),
		}),
		bytes: in.NewCounter(prometheus.CounterOpts{
			Name: "itrstream_fetched_bytes_total",
			Help: "Bytes of fetched images.",
		}),
	}
	for _, r := range []schemas.Reason{schemas.ReasonForbidden, schemas.ReasonUnreachable, schemas.ReasonNotImage, schemas.ReasonImageSize} {
		m.failed[r] = fetches.WithLabelValues(string(r))
	}
	return m
}

// fetched notes how one fetch ended.
func (m *Metrics) fetched(bytes int, err error, took time.Duration) {
	if m == nil {
		return
	}
	m.duration.Observe(took.Seconds())
	m.bytes.Add(float64(bytes))
	var failure *stage.Failure
	switch {
	case err == nil:
		m.ok.Inc()
	case !errors.As(err, &failure):
		m.stopped.Inc()
	default:
		if c, known := m.failed[failure.Reason]; known {
			c.Inc()
		}
	}
}
