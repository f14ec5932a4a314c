package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/itrstream/itrstream/model/runtime"
)

// How a failing run is repeated: memory may be short for a moment, on a GPU
// above all. What persists is the model's or the machine's fault, and not to
// be sat out.
const (
	attempts  = 3
	firstWait = 100 * time.Millisecond
)

// patient is a graph whose runs are repeated a few times when they fail.
type patient struct {
	graph
	name    string
	log     *slog.Logger
	metrics *Metrics
}

// Run runs the graph, and runs it again when that fails.
func (p *patient) Run(ctx context.Context, inputs, outputs []runtime.Tensor) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := p.graph.Run(ctx, inputs, outputs)
		if err == nil || ctx.Err() != nil || errors.Is(err, runtime.ErrClosed) {
			return err
		}
		p.metrics.failed()
		if n == attempts {
			return fmt.Errorf("model: a run failed %d times: %w", attempts, err)
		}
		p.log.WarnContext(ctx, "a run of the model failed and is tried again",
			"graph", p.name, "attempt", n, "wait", wait, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		wait *= 4
	}
}
