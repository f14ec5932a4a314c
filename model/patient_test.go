package model

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/runtime"
)

// flaky fails its first runs.
type flaky struct {
	fails, runs int
	err         error
}

// Run implements graph.
func (f *flaky) Run(context.Context, []runtime.Tensor, []runtime.Tensor) error {
	f.runs++
	if f.runs <= f.fails {
		return f.err
	}
	return nil
}

func TestFailedRunsAreRepeated(t *testing.T) {
	t.Parallel()
	broken := errors.New("out of memory")
	for name, c := range map[string]struct {
		fails, runs, counted, told int
		err                        error
		took                       time.Duration
	}{
		"never":         {0, 1, 0, 0, broken, 0},
		"once":          {1, 2, 1, 1, broken, 100 * time.Millisecond},
		"twice":         {2, 3, 2, 2, broken, 500 * time.Millisecond},
		"for good":      {9, 3, 3, 2, broken, 500 * time.Millisecond},
		"since closed":  {9, 1, 0, 0, runtime.ErrClosed, 0},
		"since its end": {9, 1, 0, 0, context.Canceled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				g := &flaky{fails: c.fails, err: c.err}
				p := &patient{graph: g, name: "text.onnx", log: slog.New(slog.NewTextHandler(&log, nil)), metrics: NewMetrics(prometheus.NewRegistry())}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if errors.Is(c.err, context.Canceled) {
					cancel()
				}
				began := time.Now()
				err := p.Run(ctx, nil, nil)
				require.Equal(t, c.took, time.Since(began))
				if c.fails < attempts {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.err)
				}
				require.Equal(t, c.runs, g.runs)
				require.InDelta(t, c.counted, testutil.ToFloat64(p.metrics.errors), 0)
				require.Equal(t, c.told, strings.Count(log.String(), "is tried again"), log.String())
			})
		})
	}
}

func TestWaitingForARepeatEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &patient{graph: &flaky{fails: 9, err: errors.New("out of memory")}, log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.Run(ctx, nil, nil), context.DeadlineExceeded)
	})
}
