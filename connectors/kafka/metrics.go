package kafka

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count transactions. nil counts nothing.
type Metrics struct {
	committed, aborted, unknown prometheus.Counter
}

// NewMetrics makes the connector's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	transactions := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_transactions_total",
		Help: "Kafka transactions, by how they ended; unknown: the brokers did not say, and the partition's next owner finds out.",
	}, []string{"outcome"})
	return &Metrics{
		committed: transactions.WithLabelValues("committed"),
		aborted:   transactions.WithLabelValues("aborted"),
		unknown:   transactions.WithLabelValues("unknown"),
	}
}

func (m *Metrics) transactionCommitted() {
	if m != nil {
		m.committed.Inc()
	}
}

func (m *Metrics) transactionAborted() {
	if m != nil {
		m.aborted.Inc()
	}
}

func (m *Metrics) transactionUnknown() {
	if m != nil {
		m.unknown.Inc()
	}
}
