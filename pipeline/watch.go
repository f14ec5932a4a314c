package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/ops"
)

// pingEvery is how often Redis is asked whether it answers.
const pingEvery = 2 * time.Second

// watch is how operators see into a run: its metrics, its health, the listener
// that serves them, and its traces.
type watch struct {
	metrics                  *Metrics
	health                   *ops.Health
	listener                 *ops.Listener
	tracer                   *ops.Tracer
	partitions, model, redis *ops.Condition
}

// startWatch starts the listener, first of all: whoever asks while the model
// loads learns that the process is alive and not ready yet.
func startWatch(ctx context.Context, cfg config.Config, s Settings) (*watch, error) {
	reg := ops.NewRegistry()
	ops.RegisterBuild(reg, s.Version)
	w := &watch{metrics: NewMetrics(reg, s.Log), health: ops.NewHealth(cfg.Ops, s.Now)}
	w.partitions = w.health.Require("partitions_assigned")
	w.model = w.health.Require("model_warm")
	w.redis = w.health.Require("redis_reachable")
	w.metrics.started(cfg.Queue, s.Now())
	var err error
	if w.tracer, err = ops.NewTracer(ctx, cfg.Tracing, s.Version, s.Log); err != nil {
		return nil, err
	}
	if w.listener, err = ops.Listen(ctx, cfg.Ops, ops.Settings{Log: s.Log, Gatherer: reg, Health: w.health}); err != nil {
		w.tracer.Close() //nolint:contextcheck // it has nothing to send
		return nil, err
	}
	return w, nil
}

// close sends the last traces and ends the listener.
func (w *watch) close() {
	w.tracer.Close()
	w.listener.Close()
}

// warm notes that the model has run once.
func (w *watch) warm(m *model.Model) {
	ref := m.Ref()
	w.metrics.labelsWith(ref, m.Device().String())
	w.model.Set(true, fmt.Sprintf("%s %s on %s", ref.Name, ref.Version, m.Device()))
}

// joined notes what the group gives to this process. A member without a
// partition is ready, too: there are more members than partitions, and it stands by.
func (w *watch) joined(partitions int) {
	w.metrics.assigned.Set(float64(max(partitions, 0)))
	switch {
	case partitions < 0:
		w.partitions.Set(false, "not in the consumer group, or it rebalances")
	case partitions == 0:
		w.partitions.Set(true, "none: the group has more members than partitions")
	default:
		w.partitions.Set(true, fmt.Sprintf("%d", partitions))
	}
}

// pingRedis asks Redis until ctx ends.
func (w *watch) pingRedis(ctx context.Context, rdb *redis.Client) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		switch err := rdb.Ping(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.metrics.redisUp.Set(0)
			w.redis.Set(false, err.Error())
		default:
			w.metrics.redisUp.Set(1)
			w.redis.Set(true, "")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
