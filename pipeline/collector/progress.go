package collector

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset"
)

const progressEvery = 30 * time.Second

// progress counts for a line in the log now and then.
type progress struct {
	rows, shards, dropped atomic.Int64
}

func (p *progress) add(e dataset.Entry) {
	p.rows.Add(e.Rows)
	if e.Shard != "" {
		p.shards.Add(1)
	}
	for _, n := range e.Dropped {
		p.dropped.Add(n)
	}
}

// report logs how it goes until ctx ends, as long as something moves, and
// what it came to then.
func (p *progress) report(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for before := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if total := p.rows.Load() + p.dropped.Load(); total != before {
			log.InfoContext(ctx, "progress", "rows", p.rows.Load(), "shards", p.shards.Load(), "dropped", p.dropped.Load())
			before = total
		}
	}
}
