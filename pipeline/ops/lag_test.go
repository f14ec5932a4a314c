package ops_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
)

// lagOf is a Lag with answers that a test gives.
type lagOf struct {
	*ops.Lag
	reg *prometheus.Registry

	mu     sync.Mutex
	ends   map[schemas.Partition]int64
	err    error
	during func() // the query
}

func (l *lagOf) answer(err error, ends map[schemas.Partition]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends, l.err = ends, err
}

func (l *lagOf) ask(context.Context, []schemas.Partition) (map[schemas.Partition]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.during != nil {
		l.during()
	}
	return maps.Clone(l.ends), l.err
}

func startLag(t *testing.T) *lagOf {
	t.Helper()
	l := &lagOf{reg: prometheus.NewRegistry()}
	l.Lag = ops.NewLag(l.reg, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, l.ask)
	}()
	t.Cleanup(func() { stop(); <-done })
	return l
}

// holds compares the series of the lag, each as "partition lag", and the
// number of failures.
func (l *lagOf) holds(t *testing.T, failures string, series ...string) {
	t.Helper()
	var want strings.Builder
	if len(series) > 0 {
		want.WriteString("# HELP itrstream_consumer_lag_records Offsets between the committed position and the end of each partition of this process; absent while the brokers don't tell.\n" +
			"# TYPE itrstream_consumer_lag_records gauge\n")
	}
	for _, s := range series {
		partition, lag, _ := strings.Cut(s, " ")
		want.WriteString(`itrstream_consumer_lag_records{partition="` + partition + `",topic="posts"} ` + lag + "\n")
	}
	require.NoError(t, testutil.GatherAndCompare(l.reg, strings.NewReader(want.String()), "itrstream_consumer_lag_records"))
	require.NoError(t, testutil.GatherAndCompare(l.reg, strings.NewReader(
		"# HELP itrstream_lag_query_failures_total Queries for the ends of partitions that failed, as a whole or for one of them.\n"+
			"# TYPE itrstream_lag_query_failures_total counter\nitrstream_lag_query_failures_total "+failures+"\n"), "itrstream_lag_query_failures_total"))
}

func TestLagIsAskedForAndNeverMadeUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLag(t)
		zero, one := schemas.Partition{Topic: "posts"}, schemas.Partition{Topic: "posts", ID: 1}
		l.holds(t, "0")

		l.answer(nil, map[schemas.Partition]int64{zero: 100, one: 40})
		l.Set(zero, 70)
		l.Set(one, 40)
		time.Sleep(time.Second) // new partitions are asked for at once
		l.holds(t, "0", "0 30", "1 0")

		l.Set(zero, 95)
		time.Sleep(10 * time.Second)
		l.holds(t, "0", "0 5", "1 0")

		l.answer(errors.New("one did not answer"), map[schemas.Partition]int64{zero: 100})
		time.Sleep(10 * time.Second)
		l.holds(t, "1", "0 5")

		l.answer(errors.New("nobody answered"), nil)
		time.Sleep(10 * time.Second)
		l.holds(t, "2")

		l.answer(nil, map[schemas.Partition]int64{zero: 100, one: 41})
		time.Sleep(10 * time.Second)
		l.holds(t, "2", "0 5", "1 1")

		l.Drop(one)
		l.holds(t, "2", "0 5")
		time.Sleep(10 * time.Second)
		l.holds(t, "2", "0 5")

		l.mu.Lock()
		l.during = func() { l.Set(zero, 103) } // committed after the brokers answered
		l.mu.Unlock()
		time.Sleep(10 * time.Second)
		l.holds(t, "2", "0 0")

		time.Sleep(10 * time.Second) // the end cannot lie below what was committed before
		l.holds(t, "3")
	})
}

// A partition that goes while the brokers are asked does not come back.
func TestLagOfAPartitionThatWent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		l := ops.NewLag(reg, slog.New(slog.DiscardHandler))
		p := schemas.Partition{Topic: "posts"}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go l.Run(ctx, func(context.Context, []schemas.Partition) (map[schemas.Partition]int64, error) {
			l.Drop(p)
			return map[schemas.Partition]int64{p: 7}, nil
		})
		l.Set(p, 3)
		time.Sleep(time.Minute)
		n, err := testutil.GatherAndCount(reg, "itrstream_consumer_lag_records")
		require.NoError(t, err)
		require.Zero(t, n)
		stop()
		synctest.Wait()
	})
}

func TestNoLag(t *testing.T) {
	t.Parallel()
	var l *ops.Lag
	l.Set(schemas.Partition{Topic: "posts"}, 1)
	l.Drop(schemas.Partition{Topic: "posts"})
	l.Run(t.Context(), nil) // returns at once
}
