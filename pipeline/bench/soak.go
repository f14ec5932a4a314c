package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/stages"
)

// The backlogs of the soak.
const (
	smallPosts = 1_000_000
	largePosts = 20_000
	// aboveModel is what the pipeline may have at its peak beside the model, in
	// MB.
	aboveModel = 200
)

// soakPart watches memory: its peak while backlogs drain, and how it moves, with
// open files, while posts come at half the highest rate for a long time.
func soakPart(ctx context.Context, b *bench) error {
	const part = "6 soak"
	model, err := b.limit(ctx, limitGraphs, streamOf(social))
	if err != nil {
		return err
	}
	highest := 0.0
	for _, backlog := range []struct {
		s stream
		n int
	}{{textStream, smallPosts}, {streamOf(social), largePosts}} {
		n := backlog.n
		if b.quick {
			n /= 100
		}
		topic := "soak-" + backlog.s.Name
		if err := b.fill(ctx, topic, backlog.s, n); err != nil {
			return err
		}
		f, err := b.drainAll(ctx, topic, n)
		if err != nil {
			return err
		}
		b.deleteTopic(ctx, topic)
		highest = f.rate
		b.table.add(about{part, fmt.Sprintf("peak above the model's own, %d posts of %s ÷ %d MB", n, backlog.s.Name, aboveModel), "MB", goal{atMost: 1}, ""},
			max(f.peakMB-model.peakMB, 1), aboveModel)
	}
	return b.watchLong(ctx, part, highest/2)
}

// drainAll lets the pipeline take a whole backlog.
func (b *bench) drainAll(ctx context.Context, topic string, n int) (figures, error) {
	s, err := b.startWorkers(ctx, b.ours(kafka.ExactlyOnce), topic)
	if err != nil {
		return figures{}, err
	}
	defer s.stop()
	began, said := time.Now(), time.Now()
	for {
		if err := s.broken(); err != nil {
			return figures{}, err
		}
		done, err := b.committed(ctx, s.group, topic)
		if err != nil {
			return figures{}, err
		}
		if time.Since(said) > 30*time.Second {
			said = time.Now()
			b.say("  %d of %d, %s MB", done, n, short(s.peakMB()))
		}
		if done >= n {
			return figures{rate: float64(n) / time.Since(began).Seconds(), peakMB: s.peakMB(), posts: n}, nil
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return figures{}, err
		}
	}
}

// watchLong compares the last quarter of the time with the second.
func (b *bench) watchLong(ctx context.Context, part string, rate float64) error {
	const topic = "soak-paced"
	if err := b.createTopic(ctx, topic); err != nil {
		return err
	}
	s, err := b.startWorkers(ctx, b.ours(kafka.ExactlyOnce), topic)
	if err != nil {
		return err
	}
	defer s.stop()
	posts, err := newWriter(streamOf(social), b.photos)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(maxMessageBytes))
	if err != nil {
		return err
	}
	defer client.Close()
	p := &paced{b: b, client: client, posts: posts, random: newRandom(6, 6)}
	b.say("%s at %s posts/s", b.soak, short(rate))
	var memory, files []float64
	const looks = 240
	for range looks {
		if err := p.pace(ctx, rate, b.soak/looks); err != nil {
			return err
		}
		if err := s.broken(); err != nil {
			return err
		}
		memory = append(memory, s.processes[0].residentMB())
		files = append(files, s.processes[0].openFiles())
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	for _, what := range []struct {
		name, unit string
		all        []float64
	}{{"memory", "MB", memory}, {"open files", "files", files}} {
		b.table.add(about{part, fmt.Sprintf("last quarter of %s ÷ second quarter, %s", b.soak, what.name), what.unit, goal{atMost: 1.05}, ""},
			middle(what.all[looks*3/4:]), middle(what.all[looks/4:looks/2]))
	}
	return nil
}

func middle(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
