package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
)

// delivered is what one run of the pipeline did.
type delivered struct {
	rate     float64       // posts a second, out of a backlog
	p50, p99 time.Duration // from produced to read at read_committed, one post at a time
}

// BenchmarkDelivery is what exactly once costs: the same posts with either
// delivery, in turn, so that both see the same machine. With ITRSTREAM_KAFKA_LIBS
// it runs on Apache Kafka and redis-server, else on the embedded ones. The
// model is the tiny one: with a real one the difference drowns.
func BenchmarkDelivery(b *testing.B) {
	var s services
	if os.Getenv("ITRSTREAM_KAFKA_LIBS") != "" {
		s = realServices(b)
	} else {
		s = embeddedServices(b)
	}
	got := map[string][]delivered{}
	for n := 0; b.Loop(); n++ {
		for _, delivery := range []string{kafka.ExactlyOnce, kafka.AtLeastOnce} {
			got[delivery] = append(got[delivery], deliver(b, s, delivery, fmt.Sprintf("%s-%d", delivery, n)))
		}
	}
	for i, unit := range []string{"posts/s", "p50-ms", "p99-ms"} {
		of := func(delivery string) []float64 {
			var all []float64
			for _, d := range got[delivery] {
				all = append(all, []float64{d.rate, d.p50.Seconds() * 1000, d.p99.Seconds() * 1000}[i])
			}
			slices.Sort(all)
			return all
		}
		once, least := of(kafka.ExactlyOnce), of(kafka.AtLeastOnce)
		middle := len(once) / 2
		b.Logf("%-7s exactly once %7.1f (%.1f to %.1f), at least once %7.1f (%.1f to %.1f): ratio %.2f", unit,
			once[middle], once[0], once[len(once)-1], least[middle], least[0], least[len(least)-1], once[middle]/least[middle])
		b.ReportMetric(once[middle], "once-"+unit)
		b.ReportMetric(least[middle], "least-"+unit)
	}
}

// deliver has one worker, with topics of its own, work off a backlog, and
// then sends posts one at a time.
func deliver(b *testing.B, s services, delivery, name string) delivered {
	b.Helper()
	const backlog, singles, every = 4000, 300, 20 * time.Millisecond
	settings := []string{"kafka.delivery=" + delivery, "kafka.group=" + name, "batch.max_rows=64", "topics.posts=" + name}
	for _, topic := range []string{"results", "deadletter", "moderation", "review", "clusters", "collected"} {
		settings = append(settings, "topics."+topic+"="+name+"-"+topic)
	}
	cfg := configure(b, s, tinyBundle, settings...)
	makeTopics(b, cfg)
	producer := client(b, s, kgo.DefaultProduceTopic(name), kgo.ProducerLinger(0))
	posts := oracle.NewWriter(1)
	var records []*kgo.Record
	for _, p := range posts.Many(backlog) {
		records = append(records, &kgo.Record{Key: p.Key, Value: p.Value})
	}
	require.NoError(b, producer.ProduceSync(b.Context(), records...).FirstErr())

	outcomes := client(b, s, kgo.ConsumeTopics(cfg.Topics.Results, cfg.Topics.DeadLetter), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	defer start(b, cfg).end(b)
	var began time.Time
	first, done := 0, 0
	for deadline := time.Now().Add(patience); done < backlog; {
		require.True(b, time.Now().Before(deadline), "%d of %d posts", done, backlog)
		done += len(next(b.Context(), outcomes))
		if began.IsZero() && done > backlog/5 { // it has started, and has its centroids
			began, first = time.Now(), done
		}
	}
	d := delivered{rate: float64(done-first) / time.Since(began).Seconds()}
	d.p50, d.p99 = latency(b, cfg, producer, outcomes, singly(posts, singles), every)
	return d
}

// singly returns n posts that become results, each under an id of its own.
func singly(w *oracle.Writer, n int) []*oracle.Post {
	var posts []*oracle.Post
	ids := map[string]bool{}
	for len(posts) < n {
		p := w.Many(1)[0]
		if p.Outcome == schemas.OutcomeResult && !ids[p.Post] {
			ids[p.Post] = true
			posts = append(posts, p)
		}
	}
	return posts
}

func latency(b *testing.B, cfg config.Config, producer, outcomes *kgo.Client, posts []*oracle.Post, every time.Duration) (p50, p99 time.Duration) {
	b.Helper()
	sent := make(chan map[string]time.Time, 1)
	go func() {
		at := map[string]time.Time{}
		for _, p := range posts {
			at[p.Post] = time.Now()
			producer.Produce(b.Context(), &kgo.Record{Key: p.Key, Value: p.Value}, nil)
			time.Sleep(every)
		}
		sent <- at
	}()
	came := map[string]time.Time{}
	for deadline := time.Now().Add(patience); len(came) < len(posts); {
		require.True(b, time.Now().Before(deadline), "%d of %d posts", len(came), len(posts))
		for _, r := range next(b.Context(), outcomes) {
			if r.Topic == cfg.Topics.Results {
				came[string(r.Key)] = time.Now()
			}
		}
	}
	took := make([]time.Duration, 0, len(posts))
	for id, at := range <-sent {
		took = append(took, came[id].Sub(at))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

func next(ctx context.Context, c *kgo.Client) []*kgo.Record {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.PollFetches(ctx).Records()
}
