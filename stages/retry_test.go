package stages_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/stages"
)

var quick = stages.Pace{First: time.Microsecond, Most: 10 * time.Microsecond}

func TestRetryUntilItWorks(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	tries := 0
	err := quick.Retry(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), "knocking", func() error {
		if tries++; tries < 20 {
			return fmt.Errorf("wrapped: %w", &stages.Transient{Err: errors.New("away")})
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 20, tries)
	require.Equal(t, 1, strings.Count(log.String(), "waiting, and trying again"), log.String())
	require.Equal(t, 1, strings.Count(log.String(), "going on"), log.String())
}

func TestRetryReturnsWhatIsNotTransient(t *testing.T) {
	t.Parallel()
	permanent, tries := errors.New("broken"), 0
	err := quick.Retry(t.Context(), slog.New(slog.DiscardHandler), "knocking", func() error {
		tries++
		return permanent
	})
	require.ErrorIs(t, err, permanent)
	require.Equal(t, 1, tries)
}

func TestRetryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := stages.Usual.Retry(ctx, slog.New(slog.DiscardHandler), "knocking", func() error {
		cancel(why)
		return &stages.Transient{Err: errors.New("away")}
	})
	require.ErrorIs(t, err, why)
	require.ErrorContains(t, err, "away")
	require.False(t, stages.IsTransient(err))
}

func TestWhatIsCommonIsNotSaid(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	tries, patient := 0, quick
	patient.Silent = time.Hour
	require.NoError(t, patient.Retry(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), "knocking", func() error {
		if tries++; tries < 5 {
			return &stages.Transient{Err: errors.New("away")}
		}
		return nil
	}))
	require.Empty(t, log.String())
}

func TestWhoWatchesLearnsWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	var told []error
	ctx := stages.WithWaiting(t.Context(), func(err error) { told = append(told, err) })
	log := slog.New(slog.DiscardHandler)
	require.NoError(t, quick.Retry(ctx, log, "knocking", func() error { return nil }))
	require.Empty(t, told, "nothing was waited for")
	away, tries := &stages.Transient{Err: errors.New("away")}, 0
	require.NoError(t, quick.Retry(ctx, log, "knocking", func() error {
		if tries++; tries < 3 {
			return away
		}
		return nil
	}))
	require.Equal(t, []error{away, away, nil}, told)
}
