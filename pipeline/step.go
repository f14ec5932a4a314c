package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Steps of a chain that are no stage of a batch.
const (
	stepClaim = "claim"
	stepFetch = "fetch"
)

// step is one part of a chain's work as metrics and health see it.
type step struct {
	name     string
	chain    *chain
	activity *ops.Activity
	log      *slog.Logger
}

// openSteps makes the steps of a chain, and returns what forgets them.
func (c *chain) openSteps() (forget func()) {
	c.steps = make(map[string]*step)
	for _, name := range []string{stepClaim, stepFetch, stageDecode, stageMedia, stageInfer, stageCluster, stageDecide, stageCollect, stageEmit} {
		c.steps[name] = &step{
			name: name, chain: c, log: c.log.With("stage", name),
			activity: c.health.Watch(c.a.Partition.String() + ": " + name),
		}
	}
	return func() {
		for _, s := range c.steps {
			s.activity.Close()
		}
	}
}

// run does something while health watches. Retries below it tell health that
// they wait.
func (s *step) run(ctx context.Context, on fmt.Stringer, do func(context.Context) error) error {
	s.activity.Begin(on)
	defer s.activity.End()
	return do(stages.WithWaiting(ctx, s.activity.Wait))
}

// retry repeats what a stage does to a batch while something outside is away.
func (s *step) retry(ctx context.Context, b *schemas.Batch, do func() error) error {
	return stages.Usual.Retry(ctx, s.log.With("offsets", b.Offsets.String()), s.name, do)
}

// window is when a stage worked on a batch.
type window struct {
	stage string
	began time.Time
	took  time.Duration
}

// time runs a stage over a batch and measures it.
func (s *step) time(ctx context.Context, b *schemas.Batch, do func(context.Context) error) (window, error) {
	w := window{stage: s.name, began: s.chain.now()}
	err := s.run(ctx, b.Offsets, do)
	w.took = s.chain.now().Sub(w.began)
	if err != nil {
		return w, fmt.Errorf("%s of offsets %s: %w", s.name, b.Offsets, err)
	}
	s.chain.metrics.took(s.name, w.took)
	return w, nil
}

// offset is where a fetch reads on.
type offset int64

func (o offset) String() string { return fmt.Sprintf("offset %d", int64(o)) }
