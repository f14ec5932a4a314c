package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/kafka"
	fetcher "github.com/itrstream/itrstream/connectors/media"
	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/collect"
	"github.com/itrstream/itrstream/stages/decide"
	"github.com/itrstream/itrstream/stages/decode"
	"github.com/itrstream/itrstream/stages/infer"
	"github.com/itrstream/itrstream/stages/media"
)

// Settings is what the caller fills in.
type Settings struct {
	Log   *slog.Logger
	Now   func() time.Time
	Alloc memory.Allocator
	// Version is that of the build, for a metric.
	Version string
}

// runner is what all partitions of a process share.
type runner struct {
	cfg         config.Config
	log         *slog.Logger
	now         func() time.Time
	alloc       memory.Allocator
	client      *kafka.Client
	decode      *decode.Stage
	media       *media.Stage
	infer       *infer.Stage
	cluster     *cluster.Stage
	decide      *decide.Stage
	collecting  *collecting // nil: nothing is
	emit        *emitter
	budget      *budget
	metrics     *Metrics
	health      *ops.Health
	tracer      *ops.Tracer
	progress    progress
	modelDigest string
}

// Run reads posts and emits their outcomes until ctx ends; what is in flight
// then is finished within cfg.Shutdown.Timeout. It returns nil after an
// orderly end, and the first permanent error otherwise. Where cfg names no
// Kafka brokers or no Redis it starts embedded ones for as long as it runs.
func Run(ctx context.Context, cfg config.Config, s Settings) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := run(ctx, cfg, s); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		return err
	}
	return nil
}

func run(ctx context.Context, cfg config.Config, s Settings) (err error) {
	w, err := startWatch(ctx, cfg, s)
	if err != nil {
		return err
	}
	defer w.close() //nolint:contextcheck // it goes on until everything else has ended

	services, err := StartEmbedded(&cfg)
	if err != nil {
		return err
	}
	defer services.Close()
	services.announce(ctx, s.Log)

	budget := newBudget(cfg.Queue, w.metrics)
	client, err := kafka.Dial(ctx, cfg.Kafka, kafka.Settings{
		Log: s.Log, Now: s.Now, Metrics: w.metrics.Kafka, Joined: w.joined, Room: budget.answers,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := EnsureTopics(ctx, client, cfg, cfg.Topics.Create); err != nil {
		return err
	}
	rdb, err := redis.Dial(ctx, cfg.Redis, redis.Settings{Log: s.Log})
	if err != nil {
		return fmt.Errorf("no Redis to keep the centroids in: check redis.addr and redis.tls: %w", err)
	}
	defer func() { err = errors.Join(err, rdb.Close()) }()

	m, err := model.Open(cfg.Model.Bundle, model.Options{ //nolint:contextcheck // opening ends by itself; its warm-up runs need no context
		Library: cfg.Model.Library, Device: cfg.Model.Device, Threads: cfg.Model.Threads, Calibration: cfg.Model.Calibration,
		CacheBytes: cfg.Model.CacheBytes, NoMaps: true, Log: s.Log, Metrics: w.metrics.Model,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	w.warm(m)

	web, err := fetcher.New(cfg.Fetch, fetcher.Settings{MaxBytes: cfg.Media.MaxBytes, Log: s.Log, Metrics: w.metrics.Fetch})
	if err != nil {
		return err
	}
	defer web.Close()

	r := &runner{cfg: cfg, log: s.Log, now: s.Now, alloc: s.Alloc, client: client, budget: budget, metrics: w.metrics, health: w.health, tracer: w.tracer, modelDigest: m.Digest()}
	if err := r.build(ctx, m, web, rdb); err != nil {
		return err
	}
	defer r.infer.Close()
	defer func() { err = errors.Join(err, r.collecting.close()) }()

	// Both end after the last partition, for the last snapshot is to hold
	// everything.
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	others.Go(func() { r.progress.report(beside, s.Log) })
	others.Go(func() { w.metrics.Lag.Run(beside, client.Ends) })
	others.Go(func() { w.pingRedis(beside, rdb) })
	if dir := cfg.Cluster.Snapshots.Dir; dir != "" {
		kept, err := newSnapshots(rdb.Store(cfg.Namespace(), m.Digest()),
			cluster.Origin{Namespace: cfg.Namespace(), ModelDigest: m.Digest(), Dim: m.Dim()}, dir)
		if err != nil {
			return err
		}
		others.Go(func() { r.keepSnapshots(beside, kept) })
	}
	s.Log.InfoContext(ctx, "running", "topics", cfg.Topics.Posts, "group", cfg.Kafka.Group,
		"model", m.Ref().Name, "version", m.Ref().Version, "device", m.Device().String())
	return client.Consume(ctx, cfg.Topics.Posts, r.handle)
}

// build makes the stages.
func (r *runner) build(ctx context.Context, m *model.Model, web media.Fetcher, rdb *redis.Client) (err error) {
	cfg := r.cfg
	kafkaID, err := r.client.ClusterID(ctx)
	if err != nil {
		return err
	}
	digest, err := cfg.Digest(m.CalibrationDigest())
	if err != nil {
		return err
	}
	private, err := newPrivacy(cfg.Privacy)
	if err != nil {
		return err
	}
	meta := schemas.ResultMeta{
		KafkaCluster: kafkaID, Model: m.Ref(), ConfigDigest: digest, Authors: private.named, Address: private.address(),
	}
	if r.decode, err = decode.New(cfg.Decode, decode.Settings{
		Alloc: r.alloc, Author: private.author, Address: private.address(),
	}); err != nil {
		return err
	}
	if r.collecting, err = newCollecting(ctx, cfg.Collect,
		collect.Settings{Meta: meta, Alloc: r.alloc, Log: r.log, Metrics: r.metrics.Collect}, r.now); err != nil {
		return err
	}
	if r.media, err = media.New(cfg.Media, media.Settings{
		Fetcher: web, Holder: r.collecting.holder(), Seer: m, Transform: m.Transform(), Orient: m.Orient(),
		Alloc: r.alloc, Log: r.log, Metrics: r.metrics.Media,
	}); err != nil {
		return err
	}
	if r.infer, err = infer.New(cfg.Infer, infer.Settings{Encoder: m, Alloc: r.alloc, Metrics: r.metrics.Infer}); err != nil {
		return err
	}
	if r.cluster, err = cluster.New(cfg.Cluster.Config, cluster.Settings{
		Store: rdb.Store(cfg.Namespace(), m.Digest()), Namespace: cfg.Namespace(), ModelDigest: m.Digest(),
		Dim: m.Dim(), Now: r.now, Log: r.log, Metrics: r.metrics.Cluster, Alloc: r.alloc,
	}); err != nil {
		return err
	}
	if r.decide, err = decide.New(cfg.Decide, decide.Settings{Meta: meta, Alloc: r.alloc}); err != nil {
		return err
	}
	r.emit = &emitter{topics: cfg.Topics, meta: meta, privacy: private, now: r.now, collects: cfg.Collect.On()}
	r.budget.expect(4*m.ImageWidth(), 4*m.Dim())
	if most := int64(cfg.Decode.MaxImages) * r.budget.rowBytes; most > r.budget.pairs.size {
		return fmt.Errorf("queue.max_bytes: %d: must be %d or more, for a post of decode.max_images (%d) images, %d bytes each: raise it, or lower that",
			cfg.Queue.MaxBytes, 4*most, cfg.Decode.MaxImages, r.budget.rowBytes)
	}
	return nil
}
