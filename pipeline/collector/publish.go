package collector

import (
	"context"
	"log/slog"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/stages"
)

// publisher keeps manifest.json and what is made of it up to date.
type publisher struct {
	folder *dataset.Folder
	log    *slog.Logger
	dirty  chan struct{}
	// card makes the data set card of a manifest.
	card func(dataset.Manifest) ([]byte, error)
}

func newPublisher(folder *dataset.Folder, log *slog.Logger, card func(dataset.Manifest) ([]byte, error)) *publisher {
	return &publisher{folder: folder, log: log, dirty: make(chan struct{}, 1), card: card}
}

// changed says that the log has changed.
func (p *publisher) changed() {
	select {
	case p.dirty <- struct{}{}:
	default: // somebody said so already
	}
}

// manifestEvery is how long changes are gathered: each manifest is all of the
// log.
const manifestEvery = 5 * time.Second

// run writes after changes, those of manifestEvery at once, until ctx ends;
// then a last time, within grace.
func (p *publisher) run(ctx context.Context, grace time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			select {
			case <-p.dirty:
			default:
				return nil
			}
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			return p.write(last)
		case <-p.dirty:
		}
		if err := p.write(ctx); err != nil {
			if ctx.Err() == nil {
				return err
			}
			p.changed()
		}
		_ = stages.Sleep(ctx, manifestEvery) // what ends it is dealt with above
	}
}

func (p *publisher) write(ctx context.Context) error {
	return stages.Usual.Retry(ctx, p.log, "writing the manifest", func() error {
		m, err := p.folder.WriteManifest(ctx)
		if err != nil {
			return err
		}
		text, err := p.card(m)
		if err != nil {
			return err
		}
		return p.folder.WriteCard(ctx, text)
	})
}
