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

const latencyName = "5 latency"

// latencyPart measures both deliveries at shares of the pipeline's highest
// rate, and the Python peer at half of its own and at the pipeline's.
func latencyPart(ctx context.Context, b *bench) error {
	once, least, drafted := b.ours(kafka.ExactlyOnce), b.ours(kafka.AtLeastOnce), b.ours(kafka.ExactlyOnce, draft)
	peer, peerDraft := b.peer("full", 1, exactlyOnce, fullDecode), b.peer("draft", 1, exactlyOnce)
	highest, err := b.highestRates(ctx, once, peer, drafted, peerDraft)
	if err != nil {
		return err
	}
	for i := range b.repeat {
		for _, share := range []float64{0.1, 0.5, 0.8} {
			if share != 0.5 && i > 0 {
				continue // the goals are at half
			}
			exactly, atLeast, err := b.latencies(ctx, once, share*highest[0], least, share*highest[0])
			if err != nil {
				return err
			}
			what := fmt.Sprintf("exactly once ÷ at least once, at %g %% of the highest rate", 100*share)
			b.compare(what, fmt.Sprintf("which is %.0f posts/s", highest[0]), exactly, atLeast, [3]goal{})
			if share != 0.5 {
				continue
			}
			// At the same rate for both, one of them has run already.
			half, peerHalf := highest[0]/2, highest[1]/2
			python, err := b.latency(ctx, peer, peerHalf)
			if err != nil {
				return err
			}
			note := fmt.Sprintf("half of %.0f and of %.0f posts/s", highest[0], highest[1])
			b.compare("exactly once ÷ Python, same pixels, each at half of its highest rate", note, exactly, python, [3]goal{{atMost: 0.4}, {atMost: 0.5}, {}})
			if half < peerHalf {
				python, err = b.latency(ctx, peer, half)
			} else {
				exactly, err = b.latency(ctx, once, peerHalf)
			}
			if err != nil {
				return err
			}
			note = fmt.Sprintf("%.0f posts/s, half of the lower of both highest rates", min(half, peerHalf))
			b.compare("exactly once ÷ Python, same pixels, at the same rate", note, exactly, python, [3]goal{})
			small, pythonDraft, err := b.latencies(ctx, drafted, highest[2]/2, peerDraft, highest[3]/2)
			if err != nil {
				return err
			}
			note = fmt.Sprintf("half of %.0f and of %.0f posts/s", highest[2], highest[3])
			b.compare("exactly once ÷ Python, both with draft, each at half of its highest rate", note, small, pythonDraft, [3]goal{{atMost: 0.4}, {atMost: 0.5}, {}})
		}
	}
	return nil
}

// highestRates drains a backlog with each.
func (b *bench) highestRates(ctx context.Context, workers ...worker) ([]float64, error) {
	const topic = "latency-mix"
	n := b.backlog(mixStream)
	if err := b.fill(ctx, topic, mixStream, n); err != nil {
		return nil, err
	}
	defer b.deleteTopic(ctx, topic)
	var rates []float64
	for _, w := range workers {
		f, err := b.drain(ctx, w, topic, n)
		if err != nil {
			return nil, err
		}
		rates = append(rates, f.rate)
	}
	return rates, nil
}

// latencies measures two, one after the other.
func (b *bench) latencies(ctx context.Context, first worker, rate float64, second worker, other float64) (q, r quantiles, err error) {
	if q, err = b.latency(ctx, first, rate); err != nil {
		return q, r, err
	}
	r, err = b.latency(ctx, second, other)
	return q, r, err
}

// compare adds a line for each quantile.
func (b *bench) compare(what, note string, ours, other quantiles, goals [3]goal) {
	a := about{part: latencyName, what: what, note: note}
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

	// The first posts wait until the model is loaded and the group has formed, and
	// are enough for centroids.
	for range bootstrap + bootstrap/4 {
		if err := p.send(ctx, time.Now()); err != nil {
			return quantiles{}, err
		}
	}
	for asked := time.Now(); p.results() < len(p.due); {
		if err := s.broken(); err != nil {
			return quantiles{}, err
		}
		if time.Since(asked) > startWithin {
			return quantiles{}, fmt.Errorf("%s has given %d of %d results within %s%s", w.name, p.results(), len(p.due), startWithin, s.processes[0].Tail())
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return quantiles{}, err
		}
	}
	if err := p.pace(ctx, rate, b.span/8); err != nil {
		return quantiles{}, err
	}
	first := len(p.due)
	if err := p.pace(ctx, rate, 3*b.span/2); err != nil {
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
