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
	Settings pipeline.Settings
}

// Run feeds all sample posts and returns when each has its outcome. Brokers,
// Redis and clustering of cfg are replaced by embedded, small ones.
func Run(ctx context.Context, cfg config.Config, o Options) error {
	posts, err := assets.Posts()
	if err != nil {
		return err
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

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tally := newTally(posts, o.Settings.Now)
	show := newPrinter(o.Out, o.Progress, len(posts), o.Settings.Now())
	show.heading()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return pipeline.Run(ctx, cfg, o.Settings) })
	room, warm := make(chan struct{}, inFlight), make(chan struct{})
	g.Go(func() error { return feed(ctx, client, cfg.Topics.Posts[0], posts, room, warm, o.Settings.Now) })
	outcomes := make(chan outcome)
	for _, t := range topics {
		if t.Name == cfg.Topics.Results || t.Name == cfg.Topics.DeadLetter {
			for p := range t.Partitions {
				tail := &tail{client: client, topic: t.Name, partition: int32(p), settings: o.Settings}
				g.Go(func() error { return tail.run(ctx, t.Name == cfg.Topics.DeadLetter, outcomes) })
			}
		}
	}
	g.Go(func() error {
		defer stop()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for !tally.complete() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
				show.step(tally, o.Settings.Now())
			case x := <-outcomes:
				if tally.add(x) {
					if tally.outcomes() == 1 {
						close(warm)
					}
					<-room
					show.outcome(x)
				}
			}
		}
		return nil
	})
	err = g.Wait()
	if !tally.complete() {
		if err == nil || errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped after %d of %d posts", tally.outcomes(), len(posts))
		}
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return show.summary(tally.summary(), o.JSON)
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
