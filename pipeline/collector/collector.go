package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/collector/card"
	"github.com/itrstream/itrstream/pipeline/collector/takedown"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Settings is what the caller fills in.
type Settings struct {
	Log     *slog.Logger
	Now     func() time.Time
	Alloc   memory.Allocator
	Version string
	// UntilIdle ends the collector once everything is collected that the topic
	// held when it began.
	UntilIdle bool
}

// groupSuffix makes the collector's consumer group of the pipeline's.
const groupSuffix = "-collect"

// refreshEvery is how often what other collectors wrote is read, for
// duplicates.
const refreshEvery = time.Minute

// collector is what the partitions of a process share.
type collector struct {
	cfg       config.Config
	untilIdle bool
	log       *slog.Logger
	now       func() time.Time
	alloc     memory.Allocator
	client    *kafka.Client
	cluster   string
	folder    *dataset.Folder
	images    *images.Store
	reaper    *takedown.Reaper
	seen      *seen
	publisher *publisher
	metrics   *Metrics
	health    *ops.Health
	progress  progress
	idle      *idle
}

// Run reads the collected topic and writes the data set until ctx ends; the
// open shards are ended within cfg.Shutdown.Timeout then. It returns nil after
// an orderly end, and the first permanent error otherwise.
func Run(ctx context.Context, cfg config.Config, s Settings) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	switch {
	case cfg.Collect.Dataset == "":
		return errors.New("collect.dataset is empty: name the folder that the data set goes into, as in --set collect.dataset=file:///var/lib/itrstream/dataset")
	case len(cfg.Kafka.Brokers) == 0:
		return errors.New("kafka.brokers is empty: name the brokers that have the collected topic, as in --set kafka.brokers=127.0.0.1:9092")
	}
	if err := run(ctx, cfg, s); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		return err
	}
	return nil
}

func run(ctx context.Context, cfg config.Config, s Settings) (err error) {
	reg := ops.NewRegistry()
	ops.RegisterBuild(reg, s.Version)
	c := &collector{
		cfg: cfg, untilIdle: s.UntilIdle, log: s.Log, now: s.Now, alloc: s.Alloc,
		metrics: NewMetrics(reg, s.Log), health: ops.NewHealth(cfg.Ops, s.Now),
	}
	assigned := c.health.Require("partitions_assigned")
	listener, err := ops.Listen(ctx, cfg.Ops, ops.Settings{Log: s.Log, Gatherer: reg, Health: c.health})
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:contextcheck // it serves until everything else has ended

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.idle = &idle{stop: stop}
	cfg.Kafka.Group += groupSuffix
	c.client, err = kafka.Dial(ctx, cfg.Kafka, kafka.Settings{Log: s.Log, Now: s.Now, Joined: func(partitions int) {
		c.metrics.joined(partitions)
		if partitions < 0 {
			assigned.Set(false, "not in the consumer group, or it rebalances")
		} else {
			assigned.Set(true, strconv.Itoa(partitions))
		}
		if s.UntilIdle {
			c.idle.joined(partitions)
		}
	}})
	if err != nil {
		return err
	}
	defer c.client.Close()
	if c.cluster, err = c.client.ClusterID(ctx); err != nil {
		return err
	}
	if _, err := pipeline.EnsureTopics(ctx, c.client, cfg, cfg.Topics.Create); err != nil {
		return err
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.folder.Close()) }()
	store, err := bucket.Open(ctx, cfg.Collect.Images)
	if err != nil {
		return fmt.Errorf("collect.images: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c.images = images.New(store, s.Now)
	if c.reaper, err = c.takedowns(ctx); err != nil {
		return err
	}
	return c.serve(ctx, stop)
}

// open opens the data set and reads what duplicates are told by.
func (c *collector) open(ctx context.Context) (err error) {
	if c.folder, err = dataset.Open(ctx, c.cfg.Collect.Dataset); err != nil {
		return fmt.Errorf("collect.dataset: %w", err)
	}
	c.publisher = newPublisher(c.folder, c.log, func(m dataset.Manifest) ([]byte, error) { return card.Make(m, c.cfg.Collect.Card) })
	if c.seen, err = newSeen(c.folder, c.alloc, c.cfg.Collect.Duplicates); err != nil {
		return errors.Join(err, c.folder.Close())
	}
	err = stages.Usual.Retry(ctx, c.log, "reading the data set", func() error { return c.seen.refresh(ctx) })
	if err != nil {
		return errors.Join(err, c.folder.Close())
	}
	c.log.InfoContext(ctx, "data set opened", "rows_remembered", c.seen.index.Len())
	return nil
}

func (c *collector) takedowns(ctx context.Context) (r *takedown.Reaper, err error) {
	err = stages.Usual.Retry(ctx, c.log, "reading the takedowns", func() (err error) {
		r, err = takedown.Open(ctx, takedown.Settings{
			Folder: c.folder, Images: c.images, Alloc: c.alloc, Now: c.now, Log: c.log,
			Removed: func(rows []dataset.Row) {
				c.seen.forget(rows)
				c.metrics.gone(len(rows))
			},
			Changed: func(context.Context) error {
				c.publisher.changed()
				return nil
			},
			Patience: takedown.Patience,
		})
		return err
	})
	return r, err
}

// serve runs everything until ctx ends or one part fails. The manifest ends
// last, for it is to tell of everything.
func (c *collector) serve(ctx context.Context, stop func()) error {
	c.publisher.changed() // a former process may have died before it wrote it
	last, done := context.WithCancel(context.WithoutCancel(ctx))
	manifest := make(chan error, 1)
	go func() {
		err := c.publisher.run(last, c.cfg.Shutdown.Timeout)
		if err != nil {
			stop()
		}
		manifest <- err
	}()

	g, beside := errgroup.WithContext(ctx)
	g.Go(func() error { return c.reaper.Run(beside) })
	g.Go(func() error { c.metrics.behind().Run(beside, c.client.Ends); return nil })
	g.Go(func() error { c.progress.report(beside, c.log); return nil })
	g.Go(func() error { return c.refresh(beside) })
	c.log.InfoContext(ctx, "collecting", "topic", c.cfg.Topics.Collected, "group", c.cfg.Kafka.Group+groupSuffix, "dataset", c.cfg.Collect.Dataset)
	g.Go(func() error {
		defer stop()
		return c.client.Consume(beside, []string{c.cfg.Topics.Collected}, c.handle)
	})
	err := g.Wait()
	if err == nil {
		err = c.lastSweep(last)
	}
	done()
	return errors.Join(err, <-manifest)
}

// lastSweep carries out the takedowns that were read last. What it cannot do
// in time the next start does: it holds every shard against all of them.
func (c *collector) lastSweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Shutdown.Timeout)
	defer cancel()
	_, err := c.reaper.Sweep(ctx)
	if err != nil && (ctx.Err() != nil || stages.IsTransient(err)) {
		c.log.WarnContext(ctx, "takedowns are carried out at the next start", "error", err)
		return nil
	}
	return err
}

// refresh reads what other collectors wrote, now and then.
func (c *collector) refresh(ctx context.Context) error {
	for stages.Sleep(ctx, refreshEvery) == nil {
		err := stages.Usual.Retry(ctx, c.log, "reading others' shards", func() error { return c.seen.refresh(ctx) })
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// idle ends the process once all of its partitions are done.
type idle struct {
	stop func()

	mu       sync.Mutex
	assigned int
	done     map[schemas.Partition]bool
}

// joined says how many partitions there are now; −1 in between.
func (i *idle) joined(partitions int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if partitions < 0 {
		i.done = nil
	}
	i.assigned = partitions
	i.check()
}

func (i *idle) finished(p schemas.Partition) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done == nil {
		i.done = make(map[schemas.Partition]bool)
	}
	i.done[p] = true
	i.check()
}

func (i *idle) check() {
	if len(i.done) == i.assigned {
		i.stop()
	}
}
