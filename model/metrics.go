package model

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/model/runtime"
)

// Metrics measure the runs of each graph. nil measures nothing.
type Metrics struct {
	duration *prometheus.HistogramVec
}

// Graphs as metrics name them.
const (
	textGraph    = "text"
	imageGraph   = "image"
	headGraph    = "head"
	explainGraph = "explain"
)

// NewMetrics makes the model's metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{duration: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "itrstream_model_run_duration_seconds",
		Help:    "Time that ONNX Runtime took for one run of a graph; a batch of pairs takes several of them.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}, []string{"graph"})}
	for _, name := range []string{textGraph, imageGraph, headGraph, explainGraph} {
		m.duration.WithLabelValues(name)
	}
	return m
}

// timed returns g, measured under the name of a graph.
func (m *Metrics) timed(name string, g graph) graph {
	if m == nil {
		return g
	}
	return &timedGraph{graph: g, duration: m.duration.WithLabelValues(name)}
}

type timedGraph struct {
	graph
	duration prometheus.Observer
}

// Run runs the graph and notes how long it took, unless it failed.
func (t *timedGraph) Run(ctx context.Context, inputs, outputs []runtime.Tensor) error {
	began := time.Now()
	err := t.graph.Run(ctx, inputs, outputs)
	if err == nil {
		t.duration.Observe(time.Since(began).Seconds())
	}
	return err
}
