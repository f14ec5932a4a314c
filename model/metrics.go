package model

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/model/runtime"
)

// Metrics measure the runs of each graph, and those that were spared. nil
// measures nothing.
type Metrics struct {
	duration     *prometheus.HistogramVec
	errors       prometheus.Counter
	known, fresh prometheus.Counter // texts
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
	in := promauto.With(reg)
	texts := in.NewCounterVec(prometheus.CounterOpts{
		Name: "itrstream_text_cache_total",
		Help: "Texts of pairs, by whether the text tower had read them before (hit) or had to (miss); model.cache_bytes holds the latest.",
	}, []string{"lookup"})
	m := &Metrics{known: texts.WithLabelValues("hit"), fresh: texts.WithLabelValues("miss"), errors: in.NewCounter(prometheus.CounterOpts{
		Name: "itrstream_model_run_errors_total",
		Help: "Runs of the model that failed; each is tried again twice before the process stops.",
	}), duration: in.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "itrstream_model_run_duration_seconds",
		Help:    "Time that ONNX Runtime took for one run of a graph; a batch of pairs takes several of them.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}, []string{"graph"})}
	for _, name := range []string{textGraph, imageGraph, headGraph, explainGraph} {
		m.duration.WithLabelValues(name)
	}
	return m
}

// texts counts the texts of an input, and those among them that were read.
func (m *Metrics) texts(all, read int) {
	if m != nil {
		m.known.Add(float64(all - read))
		m.fresh.Add(float64(read))
	}
}

func (m *Metrics) failed() {
	if m != nil {
		m.errors.Inc()
	}
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
