package collect

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Skip is why a pair that the draw chose is not collected.
type Skip string

// Reasons.
const (
	SkipSensitive Skip = "sensitive"  // the post is
	SkipOptedOut  Skip = "opted_out"  // the post, or the image, reserves such uses
	SkipNoRoom    Skip = "no_room"    // the image was not held: collect.hold_bytes were full
	SkipStoreAway Skip = "store_away" // the image could not be put in time
)

// Metrics count what is collected. nil counts nothing.
type Metrics struct {
	selected *prometheus.CounterVec
	skipped  map[Skip]prometheus.Counter
	held     prometheus.Gauge
}

// NewMetrics makes the stage's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	in := promauto.With(reg)
	skipped := in.NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_collect_skipped_total",
		Help: "Pairs that were drawn for the data set and left out, by reason.",
	}, []string{"reason"})
	m := &Metrics{
		selected: in.NewCounterVec(prometheus.CounterOpts{
			Name: "itrstream_collect_selected_total",
			Help: "Pairs that went to the collected topic, by what counted most in choosing them; rule:name, too, from the first pair that a rule of collect.keep keeps.",
		}, []string{"reason"}),
		skipped: make(map[Skip]prometheus.Counter),
		held: in.NewGauge(prometheus.GaugeOpts{
			Name: "itrstream_collect_held_bytes",
			Help: "Encoded images in memory that wait for the choice; collect.hold_bytes is the most.",
		}),
	}
	for _, reason := range []string{ReasonRate, ReasonLowConfidence, ReasonNovel} {
		m.selected.WithLabelValues(reason)
	}
	for _, why := range []Skip{SkipSensitive, SkipOptedOut, SkipNoRoom, SkipStoreAway} {
		m.skipped[why] = skipped.WithLabelValues(string(why))
	}
	return m
}

// Collected counts a pair that is in the collected topic, by its reason.
func (m *Metrics) Collected(reason string) {
	if m != nil {
		m.selected.WithLabelValues(reason).Inc()
	}
}

// Skipped counts a pair that was drawn and left out.
func (m *Metrics) Skipped(why Skip) {
	if m != nil {
		m.skipped[why].Inc()
	}
}

// Holds says how many bytes of images are held.
func (m *Metrics) Holds(bytes int64) {
	if m != nil {
		m.held.Set(float64(bytes))
	}
}
