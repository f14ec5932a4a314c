package stages

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pace is how a retry waits between two tries: First, then twice as long each
// time up to Most, all with jitter.
type Pace struct {
	First, Most time.Duration
	// Silent is for how long waiting is so common that nobody is told.
	Silent time.Duration
}

// Usual is the pace for something outside that has gone away.
var Usual = Pace{First: 50 * time.Millisecond, Most: 2 * time.Second}

type waitingKey struct{}

// WithWaiting returns a context under which every Retry tells waiting why it
// has to try again, each time, and nil once it need not any more.
func WithWaiting(ctx context.Context, waiting func(error)) context.Context {
	return context.WithValue(ctx, waitingKey{}, waiting)
}

// Retry repeats do while it returns a Transient. It says once that it waits,
// and once that it goes on. It ends with do's own result, or when ctx does: with ctx's cause.
func (p Pace) Retry(ctx context.Context, log *slog.Logger, doing string, do func() error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = p.First, p.Most, 2
	waiting, watched := ctx.Value(waitingKey{}).(func(error))
	told := false
	for waited := time.Duration(0); ; {
		err := do()
		if !IsTransient(err) {
			if watched && waited > 0 {
				waiting(nil)
			}
			if told && err == nil {
				log.InfoContext(ctx, "going on", "doing", doing)
			}
			return err
		}
		if !told && waited >= p.Silent {
			told = true
			log.WarnContext(ctx, "waiting, and trying again", "doing", doing, "error", err)
		}
		if watched {
			waiting(err)
		}
		d := wait.NextBackOff()
		if stop := Sleep(ctx, d); stop != nil {
			return fmt.Errorf("%w; the last try: %s", stop, err.Error())
		}
		waited += d
	}
}

// IsTransient reports whether a retry may help.
func IsTransient(err error) bool {
	var t *Transient
	return errors.As(err, &t)
}

// Sleep waits for d, or returns why ctx has ended.
func Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
