package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

const (
	lagEvery = 10 * time.Second
	// lagGather is how long a query waits for more partitions that were just
	// assigned.
	lagGather = 200 * time.Millisecond
)

// Ends asks for the offset that the next record of each partition gets. Those
// it could not learn are absent, and the error says why.
type Ends func(ctx context.Context, partitions []schemas.Partition) (map[schemas.Partition]int64, error)

// Lag measures how many records lie between what this process has committed
// and the end of each of its partitions. A partition whose end nobody tells
// has no series: unknown is not zero. nil measures nothing.
type Lag struct {
	gauge    *prometheus.GaugeVec
	failures prometheus.Counter
	log      *slog.Logger
	fresh    chan struct{} // a partition was added

	mu   sync.Mutex
	next map[schemas.Partition]int64
}

// NewLag makes the metrics and registers them.
func NewLag(reg prometheus.Registerer, log *slog.Logger) *Lag {
	in := promauto.With(reg)
	return &Lag{
		gauge: in.NewGaugeVec(prometheus.GaugeOpts{
			Name: "itrstream_consumer_lag_records",
			Help: "Offsets between the committed position and the end of each partition of this process; absent while the brokers don't tell.",
		}, []string{"topic", "partition"}),
		failures: in.NewCounter(prometheus.CounterOpts{
			Name: "itrstream_lag_query_failures_total",
			Help: "Queries for the ends of partitions that failed, as a whole or for one of them.",
		}),
		log:   log,
		fresh: make(chan struct{}, 1),
		next:  make(map[schemas.Partition]int64),
	}
}

// Set says that everything below next is committed.
func (l *Lag) Set(p schemas.Partition, next int64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	_, known := l.next[p]
	l.next[p] = next
	l.mu.Unlock()
	if !known {
		select {
		case l.fresh <- struct{}{}:
		default:
		}
	}
}

// Drop forgets a partition that is no longer ours.
func (l *Lag) Drop(p schemas.Partition) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.next, p)
	l.remove(p)
}

// Run asks now and then, and soon after a partition was added, until ctx ends.
func (l *Lag) Run(ctx context.Context, ends Ends) {
	if l == nil {
		return
	}
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.fresh:
			if stages.Sleep(ctx, lagGather) != nil {
				return
			}
		}
		l.ask(ctx, ends)
	}
}

func (l *Lag) ask(ctx context.Context, ends Ends) {
	l.mu.Lock()
	asked := maps.Clone(l.next)
	l.mu.Unlock()
	partitions := slices.Collect(maps.Keys(asked))
	if len(partitions) == 0 {
		return
	}
	call, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	found, err := ends(call, partitions)
	if ctx.Err() != nil {
		return
	}
	for p, end := range found {
		if end < asked[p] {
			// kafka-go makes 0 of an end that the broker left out.
			err = errors.Join(err, fmt.Errorf("the end of %s is said to be %d, and %d is committed", p, end, asked[p]))
			delete(found, p)
		}
	}
	if err != nil {
		l.failures.Inc()
		l.log.DebugContext(ctx, "could not learn how far partitions are behind", "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range partitions {
		next, ours := l.next[p]
		end, told := found[p]
		if !ours || !told {
			l.remove(p)
			continue
		}
		l.gauge.WithLabelValues(p.Topic, partitionLabel(p)).Set(float64(max(0, end-next)))
	}
}

func (l *Lag) remove(p schemas.Partition) { l.gauge.DeleteLabelValues(p.Topic, partitionLabel(p)) }

func partitionLabel(p schemas.Partition) string { return strconv.Itoa(int(p.ID)) }
