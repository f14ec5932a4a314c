package cluster

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/schemas"
)

// Metrics count what folds come to. nil counts nothing.
type Metrics struct {
	folds  map[FoldStatus]prometheus.Counter
	failed prometheus.Counter
	alarms prometheus.Counter
}

// NewMetrics makes the stage's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	in := promauto.With(reg)
	folds := in.NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_folds_total",
		Help: "Attempts to fold a batch into the centroids, by the store's answer; error: none came.",
	}, []string{"status"})
	m := &Metrics{
		folds:  make(map[FoldStatus]prometheus.Counter),
		failed: folds.WithLabelValues("error"),
		alarms: in.NewCounter(prometheus.CounterOpts{
			Name: "itrstream_novelty_alarms_total",
			Help: "Alarms over a share of novel pairs that stayed above cluster.novelty_share.",
		}),
	}
	for _, s := range []FoldStatus{FoldOK, FoldNoModel, FoldFenced, FoldDup, FoldCut, FoldBehind, FoldWait, FoldConflict} {
		m.folds[s] = folds.WithLabelValues(strings.ToLower(string(s)))
	}
	return m
}

func (m *Metrics) fold(s FoldStatus) {
	if m == nil {
		return
	}
	if c, ok := m.folds[s]; ok {
		c.Inc()
	}
}

func (m *Metrics) foldFailed() {
	if m != nil {
		m.failed.Inc()
	}
}

// events counts the alarms among what a fold has to tell.
func (m *Metrics) events(events []schemas.ClusterEvent) {
	if m == nil {
		return
	}
	for _, e := range events {
		if e.Type == alarmEvent {
			m.alarms.Inc()
		}
	}
}
