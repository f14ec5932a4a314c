package collector

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/pipeline/ops"
)

// Why a record of the collected topic is no row: keys of Entry.Dropped, and
// labels.
const (
	Duplicate    = "duplicate"     // its image and text are near those of a row
	ImageMissing = "image_missing" // the store does not hold it: a takedown may have come first
	ImageCorrupt = "image_corrupt" // the store holds something else, or what cannot be decoded
	Malformed    = "malformed"     // no collected.v1 or takedown.v1
	OptedOut     = "opted_out"
	Sensitive    = "sensitive"
	TakenDown    = "takedown"
)

func reasons() []string {
	return []string{Duplicate, ImageMissing, ImageCorrupt, Malformed, OptedOut, Sensitive, TakenDown}
}

// Metrics are those of itrstream collect. nil counts nothing.
type Metrics struct {
	lag *ops.Lag

	rows, shards, takedowns, removed prometheus.Counter
	dropped                          map[string]prometheus.Counter
	assigned                         prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer, log *slog.Logger) *Metrics {
	in := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return in.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		lag:       ops.NewLag(reg, log),
		rows:      counter("itrstream_collector_rows_total", "Rows that are in the data set: their shard is in its log."),
		shards:    counter("itrstream_collector_shards_total", "Shards that were written and are in the log."),
		takedowns: counter("itrstream_collector_takedowns_total", "Takedown records that were read."),
		removed:   counter("itrstream_collector_removed_rows_total", "Rows that takedowns took out, of shards or on their way there."),
		assigned: in.NewGauge(prometheus.GaugeOpts{
			Name: "itrstream_assigned_partitions",
			Help: "Partitions that the consumer group has given to this process.",
		}),
		dropped: make(map[string]prometheus.Counter),
	}
	dropped := in.NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_collector_dropped_total",
		Help: "Records that became no row, by reason, once their offsets are in the log.",
	}, []string{"reason"})
	for _, reason := range reasons() {
		m.dropped[reason] = dropped.WithLabelValues(reason)
	}
	return m
}

// joined notes how many partitions the group has given; below 0: it gives none
// at the moment.
func (m *Metrics) joined(partitions int) {
	if m != nil {
		m.assigned.Set(float64(max(partitions, 0)))
	}
}

// behind is where a partition's lag is told to; nil for nowhere.
func (m *Metrics) behind() *ops.Lag {
	if m == nil {
		return nil
	}
	return m.lag
}

// published counts what an entry of the log brought.
func (m *Metrics) published(rows int64, shard bool, dropped map[string]int64) {
	if m == nil {
		return
	}
	m.rows.Add(float64(rows))
	if shard {
		m.shards.Inc()
	}
	for reason, n := range dropped {
		m.dropped[reason].Add(float64(n))
	}
}

func (m *Metrics) takedown() {
	if m != nil {
		m.takedowns.Inc()
	}
}

func (m *Metrics) gone(rows int) {
	if m != nil {
		m.removed.Add(float64(rows))
	}
}
