package pipeline

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/itrstream/itrstream/pipeline/config"
)

// LimitMemory makes Go's collector work harder before the container's limit is
// reached, instead of being killed there. GOMEMLIMIT, where it is set, and
// AUTOMEMLIMIT=off hold against it; without a limit of the container nothing changes.
func LimitMemory(cfg config.Config, log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(1), memlimit.WithProvider(heapLimit(memlimit.FromCgroup, outsideOfGo(cfg))))
	switch {
	case err != nil:
		log.Warn("the container's memory limit cannot be read: set GOMEMLIMIT if there is one", "error", err)
	case limit < math.MaxInt64:
		log.Info("Go's heap is limited", "bytes", limit)
	}
}

// heapLimit is what a container's limit leaves for Go's heap, with a tenth to
// spare. It is a quarter at least: with less the collector would only run.
func heapLimit(container memlimit.Provider, outside uint64) memlimit.Provider {
	return func() (uint64, error) {
		limit, err := container()
		if err != nil {
			return 0, err
		}
		left := limit / 10 * 9
		return max(left-min(left, outside), limit/4), nil
	}
}

// runtimeBytes is about what ONNX Runtime takes beside a model's weights.
const runtimeBytes = 96 << 20

// outsideOfGo is about how much memory is none of Go's, in bytes: the queue, in
// blocks that are up to a quarter larger, and the model, whose weights are there twice
// while it is opened.
func outsideOfGo(cfg config.Config) uint64 {
	n := runtimeBytes + cfg.Queue.MaxBytes/4*5
	graphs, _ := filepath.Glob(filepath.Join(cfg.Model.Bundle, "*.onnx*")) // the only error is a bad pattern
	for _, graph := range graphs {
		if info, err := os.Stat(graph); err == nil {
			n += 2 * info.Size()
		}
	}
	return uint64(n) //nolint:gosec // positive
}
