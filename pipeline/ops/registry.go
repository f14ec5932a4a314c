package ops

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// NewRegistry returns a registry of our own, with what Go and the kernel know
// of the process: nothing that a library registers elsewhere gets in.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// RegisterBuild registers what says which build runs.
func RegisterBuild(reg prometheus.Registerer, version string) {
	promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
		Name: "itrstream_build_info",
		Help: "1, with the version of itrstream and of Go that built it.",
	}, []string{"version", "go_version"}).WithLabelValues(version, runtime.Version()).Set(1)
}
