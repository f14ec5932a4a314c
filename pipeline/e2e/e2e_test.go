// Package e2e runs the whole pipeline on embedded and on real services, and
// holds every outcome against what was sent.
package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(processVariable); ok {
		if err := work(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const patience = 90 * time.Second

// everyOffsetOnce sends posts of all kinds through one worker.
func everyOffsetOnce(t *testing.T, s services, bundle string, n int, settings ...string) {
	t.Helper()
	cfg := configure(t, s, bundle, settings...)
	o := observe(t, s)
	w := start(t, cfg)
	o.produce(oracle.NewWriter(1).Many(n)...)
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))
	require.NotEmpty(t, follow(t, s, kgo.ReadCommitted(), "clusters")(), "clusters are reported")
}

func TestEveryOffsetOnceEmbedded(t *testing.T) {
	everyOffsetOnce(t, embeddedServices(t), shippedBundle, 300)
}

func TestRealEveryOffsetOnce(t *testing.T) {
	everyOffsetOnce(t, realServices(t), shippedBundle, 300)
}

func TestEveryOffsetAtLeastOnce(t *testing.T) {
	everyOffsetOnce(t, embeddedServices(t), tinyBundle, 300, "kafka.delivery=at_least_once")
}

// restarts stops workers with most of the posts still before them, and
// batches in flight.
func restarts(t *testing.T, s services) {
	t.Helper()
	cfg := configure(t, s, tinyBundle, "queue.max_batches=6")
	o := observe(t, s)
	posts := oracle.NewWriter(2)
	stopped := start(t, cfg)
	o.produce(posts.Many(200)...)
	stopped.end(t)
	o.produce(posts.Many(2500)...)
	for range 3 {
		before := o.emitted()
		for more := o.emitted(); more > before; more = o.emitted() {
			before = more
		}
		w := start(t, cfg)
		for o.emitted() < before+100 {
			time.Sleep(time.Millisecond)
		}
		w.end(t)
		require.Less(t, o.emitted(), len(o.sent), "the worker was stopped half way")
	}
	w := start(t, cfg)
	o.wait()
	w.end(t)
	// An orderly end commits what it has emitted: nothing comes twice.
	made(t, o.judge(cfg, oracle.Rules{}))
}

func TestRestartsEmbedded(t *testing.T) { restarts(t, embeddedServices(t)) }
func TestRealRestarts(t *testing.T)     { restarts(t, realServices(t)) }

// twoWorkers share the partitions and the centroids; one comes later, and one
// leaves.
func twoWorkers(t *testing.T, s services, delivery string) {
	t.Helper()
	cfg := configure(t, s, tinyBundle, "kafka.delivery="+delivery)
	o := observe(t, s)
	posts := oracle.NewWriter(3)
	first := start(t, cfg)
	o.produce(posts.Many(200)...)
	second := start(t, cfg)
	for range 5 {
		o.produce(posts.Many(60)...)
		time.Sleep(400 * time.Millisecond)
	}
	first.end(t)
	o.produce(posts.Many(200)...)
	o.wait()
	second.end(t)
	made(t, o.judge(cfg, oracle.Rules{Repeats: delivery == kafka.AtLeastOnce}))
}

func TestTwoWorkersEmbedded(t *testing.T) {
	twoWorkers(t, embeddedServices(t), kafka.ExactlyOnce)
}

func TestTwoWorkersAtLeastOnce(t *testing.T) {
	twoWorkers(t, embeddedServices(t), kafka.AtLeastOnce)
}

func TestRealTwoWorkers(t *testing.T) {
	twoWorkers(t, realServices(t), kafka.ExactlyOnce)
}

// TestTopicsThatWouldRefuseAreRefusedAtStart makes output topics that are too
// small for what may have to go into them.
func TestTopicsThatWouldRefuseAreRefusedAtStart(t *testing.T) {
	for topic, want := range map[string]string{"deadletter": "a dead letter may have", "results": "decode.max_text_bytes"} {
		t.Run(topic, func(t *testing.T) {
			s := embeddedServices(t)
			client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
			require.NoError(t, err)
			defer client.Close()
			small := "20000"
			_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &small}, topic)
			require.NoError(t, err)
			w := start(t, configure(t, s, tinyBundle))
			err = <-w.done
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, topic)
		})
	}
}
