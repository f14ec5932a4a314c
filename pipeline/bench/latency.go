package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/stages"
)

// quantiles of the time from when a post was due until a committed consumer
// has its result, in milliseconds.
type quantiles struct {
	p50, p99, p999 float64
	posts          int
}

// latencyPart measures both deliveries at shares of the pipeline's highest
// rate, and the Python peer at half of its own.
func latencyPart(ctx context.Context, b *bench) error {
	const part, topic = "5 latency", "latency-mix"
	n := b.backlog(mixStream)
	if err := b.fill(ctx, topic, mixStream, n); err != nil {
		return err
	}
	once, least, peer := b.ours(kafka.ExactlyOnce), b.ours(kafka.AtLeastOnce), b.peer("exactly-once", 1, exactlyOnce)
	highest, err := b.drain(ctx, once, topic, n)
	if err != nil {
		return err
	}
	peers, err := b.drain(ctx, peer, topic, n)
	if err != nil {
		return err
	}
	b.deleteTopic(ctx, topic)
	for range b.repeat {
		for _, share := range []float64{0.1, 0.5, 0.8} {
			rate := share * highest.rate
			exactly, err := b.latency(ctx, once, rate)
			if err != nil {
				return err
			}
			atLeast, err := b.latency(ctx, least, rate)
			if err != nil {
				return err
			}
			what, note := fmt.Sprintf("exactly once ÷ at least once, at %g %% of the highest rate", 100*share), fmt.Sprintf("which is %.0f posts/s", highest.rate)
			b.compare(about{part: part, what: what, note: note}, exactly, atLeast, [3]goal{})
			if share != 0.5 {
				continue
			}
			python, err := b.latency(ctx, peer, share*peers.rate)
			if err != nil {
				return err
			}
			note = fmt.Sprintf("half of %.0f and of %.0f posts/s", highest.rate, peers.rate)
			b.compare(about{part: part, what: "exactly once ÷ Python, each at half of its highest rate", note: note},
				exactly, python, [3]goal{{atMost: 0.4}, {atMost: 0.5}, {}})
		}
	}
	return nil
}

// compare adds a line for each quantile.
func (b *bench) compare(a about, ours, other quantiles, goals [3]goal) {
	for i, q := range []struct {
		unit        string
		ours, other float64
	}{{"p50 ms", ours.p50, other.p50}, {"p99 ms", ours.p99, other.p99}, {"p99.9 ms", ours.p999, other.p999}} {
		a.unit, a.goal = q.unit, goals[i]
		b.table.add(a, q.ours, q.other)
	}
}

// latency sends posts of the mix at random times, so many a second, and waits
// for their results. A post that is sent late because the machine is busy counts
// from when it was due.
func (b *bench) latency(ctx context.Context, w worker, rate float64) (quantiles, error) {
	b.say("%s: latency at %s posts/s", w.name, short(rate))
	b.runs++
	topic := fmt.Sprintf("paced-%03d", b.runs)
	if err := b.createTopic(ctx, topic); err != nil {
		return quantiles{}, err
	}
	s, err := b.startWorkers(ctx, w, topic)
	if err != nil {
		return quantiles{}, err
	}
	defer s.stop()
	defer b.deleteTopic(ctx, topic)
	posts, err := newWriter(mixStream, b.photos)
	if err != nil {
		return quantiles{}, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(maxMessageBytes),
		kgo.ProducerLinger(0), kgo.ConsumeTopics(s.results), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return quantiles{}, err
	}
	defer client.Close()

	p := &paced{b: b, client: client, posts: posts, random: newRandom(5, b.runs), arrived: map[string]time.Time{}}
	reading, done := context.WithCancel(ctx)
	read := make(chan struct{})
	go func() { defer close(read); p.read(reading) }()
	defer func() { done(); <-read }()

	// The first post waits until the model is loaded and the group has formed.
	if err := p.send(ctx, time.Now()); err != nil {
		return quantiles{}, err
	}
	for asked := time.Now(); p.results() == 0; {
		if err := s.broken(); err != nil {
			return quantiles{}, err
		}
		if time.Since(asked) > startWithin {
			return quantiles{}, fmt.Errorf("%s gives no result within %s%s", w.name, startWithin, s.processes[0].Tail())
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return quantiles{}, err
		}
	}
	if err := p.pace(ctx, rate, b.span/4); err != nil {
		return quantiles{}, err
	}
	first := len(p.due)
	if err := p.pace(ctx, rate, 2*b.span); err != nil {
		return quantiles{}, err
	}
	for asked := time.Now(); p.results() < len(p.due); {
		if time.Since(asked) > b.span+5*time.Second {
			return quantiles{}, fmt.Errorf("%s still owes %d of %d results%s", w.name, len(p.due)-p.results(), len(p.due), s.processes[0].Tail())
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return quantiles{}, err
		}
	}
	q := p.quantiles(first)
	b.say("  p50 %s, p99 %s, p99.9 %s ms of %d posts", short(q.p50), short(q.p99), short(q.p999), q.posts)
	return q, nil
}

// paced are posts on their way, and when they came back.
type paced struct {
	b      *bench
	client *kgo.Client
	posts  *writer
	random *rand.Rand
	due    []time.Time // of each post

	// guarded by b.mu
	arrived map[string]time.Time
}

func (p *paced) send(ctx context.Context, due time.Time) error {
	n := len(p.due)
	p.due = append(p.due, due)
	p.client.Produce(ctx, &kgo.Record{Key: []byte(postID(n)), Value: p.posts.value(n)}, func(_ *kgo.Record, err error) {
		if err != nil {
			p.b.fail(fmt.Errorf("sending a post: %w", err))
		}
	})
	return p.b.failure()
}

// pace sends posts at random times for a while.
func (p *paced) pace(ctx context.Context, rate float64, span time.Duration) error {
	began := time.Now()
	for due := began; ; {
		due = due.Add(time.Duration(p.random.ExpFloat64() / rate * float64(time.Second)))
		if due.Sub(began) > span {
			return stages.Sleep(ctx, time.Until(began.Add(span)))
		}
		if err := stages.Sleep(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := p.send(ctx, due); err != nil {
			return err
		}
	}
}

// read notes when results come.
func (p *paced) read(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := p.client.PollFetches(ctx)
		now := time.Now()
		p.b.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if _, again := p.arrived[string(r.Key)]; !again {
				p.arrived[string(r.Key)] = now
			}
		})
		p.b.mu.Unlock()
	}
}

func (p *paced) results() int {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return len(p.arrived)
}

// quantiles are over the posts from first on.
func (p *paced) quantiles(first int) quantiles {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	var took []float64
	for n, due := range p.due[first:] {
		took = append(took, p.arrived[postID(first+n)].Sub(due).Seconds()*1000)
	}
	if len(took) == 0 {
		return quantiles{}
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[min(len(took)-1, int(share*float64(len(took))))] }
	return quantiles{p50: at(0.5), p99: at(0.99), p999: at(0.999), posts: len(took)}
}
