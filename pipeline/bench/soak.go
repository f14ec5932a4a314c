package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
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

const soakName = "6 soak"

// soakPart watches memory: its peak while backlogs drain, and how it moves, with
// goroutines and open files, while posts come at half the highest rate for a long
// time.
func soakPart(ctx context.Context, b *bench) error {
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
		b.table.add(about{soakName, fmt.Sprintf("peak above the bare model's, %d posts of %s ÷ %d MB", n, backlog.s.Name, aboveModel), "MB", goal{atMost: 1}, ""},
			max(f.peakMB-model.peakMB, 1), aboveModel)
	}
	return b.watchLong(ctx, highest/2)
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

// looks is how often the long run is looked at. Of the first of them nothing is
// kept, for caches fill.
const looks, warmLooks = 240, 10

// watchLong tells what grows.
func (b *bench) watchLong(ctx context.Context, rate float64) error {
	const topic = "soak-paced"
	if err := b.createTopic(ctx, topic); err != nil {
		return err
	}
	// An hour of posts is more than a disk should have to take.
	half := "536870912"
	if _, err := b.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.bytes", Value: &half}, {Name: "segment.bytes", Value: &half}}, topic); err != nil {
		return err
	}
	stats := filepath.Join(b.dir, "stats.json")
	w := b.ours(kafka.ExactlyOnce)
	start := w.command
	w.command = func(n names) ([]string, string, []string) {
		env, program, args := start(n)
		return env, program, append(args, "--stats", stats)
	}
	s, err := b.startWorkers(ctx, w, topic)
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
	watched := []*watched{{name: "resident memory", unit: "MB"}, {name: "heap", unit: "MB"}, {name: "goroutines", unit: "goroutines"}, {name: "open files", unit: "files"}}
	for look := range looks {
		if err := p.pace(ctx, rate, b.soak/looks); err != nil {
			return err
		}
		if err := s.broken(); err != nil {
			return err
		}
		if look < warmLooks {
			continue
		}
		inside, err := readStats(stats)
		if err != nil {
			return err
		}
		for i, v := range []float64{s.processes[0].residentMB(), inside.HeapMB, inside.Goroutines, s.processes[0].openFiles()} {
			watched[i].values = append(watched[i].values, v)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	for _, what := range watched {
		b.table.add(about{soakName, fmt.Sprintf("last quarter of %s ÷ first quarter, %s", b.soak, what.name), what.unit, goal{atMost: flat}, "medians"},
			what.middle(0.75, 1), what.middle(0, 0.25))
		b.table.add(about{soakName, fmt.Sprintf("end ÷ begin of a straight line over %s, %s", b.soak, what.name), what.unit, goal{atMost: flat}, "least squares"}, what.line(1), what.line(0))
	}
	return nil
}

// flat is the most that something flat may seem to grow.
const flat = 1.05

// watched is something that should stay as it is.
type watched struct {
	name, unit string
	values     []float64
}

// middle is the median of a stretch, from a share of the values to another.
func (w *watched) middle(from, to float64) float64 {
	n := float64(len(w.values))
	stretch := slices.Sorted(slices.Values(w.values[int(from*n):int(to*n)]))
	return stretch[len(stretch)/2]
}

// line is a height of the straight line that fits the values best: 0 where it
// begins, 1 where it ends.
func (w *watched) line(at float64) float64 {
	n := float64(len(w.values))
	var sum, moment, square float64
	for i, v := range w.values {
		x := float64(i) - (n-1)/2
		sum, moment, square = sum+v, moment+x*v, square+x*x
	}
	return sum/n + moment/square*(at-0.5)*(n-1)
}
