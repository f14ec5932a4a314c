package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/itrstream/itrstream/stages"
)

// retry repeats do while it says that something outside is away, with
// backoff and jitter, until ctx ends. It says once that it waits, and once that it
// goes on.
func retry(ctx context.Context, log *slog.Logger, what string, do func() error) error {
	waiting := false
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := do()
		var away *stages.Transient
		switch {
		case err == nil:
			if waiting {
				log.InfoContext(ctx, "going on", "doing", what)
			}
			return struct{}{}, nil
		case !errors.As(err, &away):
			return struct{}{}, backoff.Permanent(err)
		}
		if !waiting {
			waiting = true
			log.WarnContext(ctx, "waiting, and trying again", "doing", what, "error", err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 2 * time.Second,
	}), backoff.WithMaxElapsedTime(0))
	return err
}
