// Package demo shows the product in a minute: it feeds sample posts through
// the whole pipeline on embedded services and prints what comes out.
//
// Changing the posts? Read the assets package.
// Changing what is printed? Read printer.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/demo/assets"
)

// inFlight is how many posts are on their way at a time: enough to keep the
// model busy, few enough for a latency that means something.
const inFlight = 24

// Options say where the demo prints.
type Options struct {
	Out      io.Writer // results and summary
	Progress io.Writer // how far it is
	JSON     bool      // the summary as one JSON object, on the last line
	Dataset  string    // a new folder for a data set of all pairs; empty: none is made
	Settings pipeline.Settings
}

// Run feeds all sample posts and returns when each has its outcome, and is in
// the data set if one is asked for. Brokers, Redis and clustering of cfg are replaced
// by embedded, small ones.
func Run(ctx context.Context, cfg config.Config, o Options) (err error) {
	posts, err := assets.Posts()
	if err != nil {
		return err
	}
	var collects *collection
	if o.Dataset != "" {
		if collects, err = newCollection(&cfg, o.Dataset); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, collects.close()) }()
	}
	cfg.Kafka.Brokers, cfg.Redis.Addr = nil, ""
	cfg.Topics.Partitions = 2
	cfg.Cluster.K, cfg.Cluster.Bootstrap = 8, 64
	cfg.Batch.MaxRows = 16
	services, err := pipeline.StartEmbedded(&cfg)
	if err != nil {
		return err
	}
	defer services.Close()
	client, err := kafka.Dial(ctx, cfg.Kafka, kafka.Settings{Log: o.Settings.Log, Now: o.Settings.Now})
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := pipeline.EnsureTopics(ctx, client, cfg, true)
	if err != nil {
		return err
	}

	d := demo{
		cfg: cfg, settings: o.Settings, client: client, topics: topics, posts: posts,
		tally: newTally(posts, o.Settings.Now), show: newPrinter(o.Out, o.Progress, len(posts), o.Settings.Now()),
	}
	d.show.heading()
	if err := d.label(ctx); err != nil {
		return err
	}
	summary := d.tally.summary()
	if collects != nil {
		collected, err := collects.run(ctx, cfg, o)
		if err != nil {
			return err
		}
		summary.Dataset = &collected
	}
	return d.show.summary(summary, o.JSON)
}

// demo is one run.
type demo struct {
	cfg      config.Config
	settings pipeline.Settings
	client   *kafka.Client
	topics   []kafka.TopicState
	posts    []assets.Message
	tally    *tally
	show     *printer
}

// label runs the pipeline until each post has its outcome.
func (d *demo) label(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return pipeline.Run(ctx, d.cfg, d.settings) })
	room, warm := make(chan struct{}, inFlight), make(chan struct{})
	g.Go(func() error { return feed(ctx, d.client, d.cfg.Topics.Posts[0], d.posts, room, warm, d.settings.Now) })
	outcomes := make(chan outcome)
	for _, t := range d.topics {
		if t.Name == d.cfg.Topics.Results || t.Name == d.cfg.Topics.DeadLetter {
			for p := range t.Partitions {
				tail := &tail{client: d.client, topic: t.Name, partition: int32(p), settings: d.settings}
				g.Go(func() error { return tail.run(ctx, t.Name == d.cfg.Topics.DeadLetter, outcomes) })
			}
		}
	}
	g.Go(func() error {
		defer stop()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for !d.tally.complete() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
				d.show.step(d.tally, d.settings.Now())
			case x := <-outcomes:
				if d.tally.add(x) {
					if d.tally.outcomes() == 1 {
						close(warm)
					}
					<-room
					d.show.outcome(x)
				}
			}
		}
		return nil
	})
	err := g.Wait()
	if !d.tally.complete() {
		if err == nil || errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped after %d of %d posts", d.tally.outcomes(), len(d.posts))
		}
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// feed produces the posts in order, with at most inFlight of them without an
// outcome. The first goes alone: it waits for the model to load and the group to form.
func feed(ctx context.Context, client *kafka.Client, topic string, posts []assets.Message, room chan<- struct{}, warm <-chan struct{}, now func() time.Time) error {
	for i, p := range posts {
		if i == 1 {
			select {
			case <-warm:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		record := kafka.Record{Topic: topic, Partition: kafka.ByKey, Key: p.Key, Value: p.Value, Time: now()}
		if err := client.Produce(ctx, []kafka.Record{record}); err != nil {
			return fmt.Errorf("feeding post %s: %w", p.Name, err)
		}
	}
	return nil
}
