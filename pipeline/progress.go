package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/itrstream/itrstream/schemas"
)

const progressEvery = 30 * time.Second

// progress counts outcomes for a line in the log now and then.
type progress struct {
	results, tombstones, deadLetters atomic.Int64
}

func (p *progress) count(b *schemas.Batch) {
	for _, outcome := range schemas.Outcomes(b) {
		switch outcome {
		case schemas.OutcomeResult:
			p.results.Add(1)
		case schemas.OutcomeTombstone:
			p.tombstones.Add(1)
		case schemas.OutcomeDeadLetter:
			p.deadLetters.Add(1)
		}
	}
}

func (p *progress) total() int64 {
	return p.results.Load() + p.tombstones.Load() + p.deadLetters.Load()
}

// report logs how it goes until ctx ends, as long as something moves.
func (p *progress) report(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for before := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if total := p.total(); total != before {
			log.InfoContext(ctx, "progress", "posts_per_second", float64(total-before)/progressEvery.Seconds(),
				"results", p.results.Load(), "tombstones", p.tombstones.Load(), "dead_letters", p.deadLetters.Load())
			before = total
		}
	}
}
