package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

func transactions(t *testing.T, reg *prometheus.Registry, aborted, committed, unknown string) {
	t.Helper()
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP itrstream_transactions_total Kafka transactions, by how they ended; unknown: the brokers did not say, and the partition's next owner finds out.
# TYPE itrstream_transactions_total counter
itrstream_transactions_total{outcome="aborted"} `+aborted+`
itrstream_transactions_total{outcome="committed"} `+committed+`
itrstream_transactions_total{outcome="unknown"} `+unknown+`
`)))
}

// counting returns a sink, and what counts its transactions.
func counting(t *testing.T, addrs []string) (*prometheus.Registry, kafka.Sink) {
	t.Helper()
	reg := prometheus.NewRegistry()
	c, err := kafka.Dial(t.Context(), config(addrs), kafka.Settings{Metrics: kafka.NewMetrics(reg)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.EnsureTopics(t.Context(), []kafka.TopicSpec{
		{Name: "in", Partitions: 1},
		{Name: "out", Partitions: 2, Configs: [][2]string{{"max.message.bytes", "100000"}}},
	}, true)
	require.NoError(t, err)
	return reg, sink(t, assigned(t, c, "in"))
}

func TestTransactionsAreCounted(t *testing.T) {
	t.Parallel()
	reg, s := counting(t, broker(t))
	transactions(t, reg, "0", "0", "0")
	require.NoError(t, s.Emit(t.Context(), out("a"), 1, ""))
	transactions(t, reg, "0", "1", "0")

	var large *kafka.RecordTooLargeError
	require.ErrorAs(t, s.Emit(t.Context(), []kafka.Record{{Topic: "out", Value: noise(200_000)}}, 2, ""), &large)
	transactions(t, reg, "1", "1", "0")

	gone, stop := context.WithCancel(t.Context())
	stop()
	require.Error(t, s.Emit(gone, out("b"), 2, ""))
	transactions(t, reg, "2", "1", "0")
}

func TestATransactionOfUnknownEndIsCountedAsThat(t *testing.T) {
	t.Parallel()
	cluster, lose := lossyBroker(t)
	reg, s := counting(t, cluster.ListenAddrs())
	lose(kmsg.EndTxn)
	require.Error(t, s.Emit(t.Context(), out("c"), 2, ""))
	transactions(t, reg, "0", "0", "1")
}

func TestEnds(t *testing.T) {
	t.Parallel()
	c := dial(t, config(broker(t)))
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "a", Partitions: 2}, {Name: "b", Partitions: 1}}, true)
	require.NoError(t, err)
	require.NoError(t, c.Produce(t.Context(), []kafka.Record{{Topic: "a", Partition: 1, Value: []byte("x")}, {Topic: "a", Partition: 1, Value: []byte("y")}}))
	a0, a1, b0 := schemas.Partition{Topic: "a"}, schemas.Partition{Topic: "a", ID: 1}, schemas.Partition{Topic: "b"}
	ends, err := c.Ends(t.Context(), []schemas.Partition{a0, a1, b0})
	require.NoError(t, err)
	require.Equal(t, map[schemas.Partition]int64{a0: 0, a1: 2, b0: 0}, ends)

	ends, err = c.Ends(t.Context(), []schemas.Partition{a1, {Topic: "a", ID: 9}})
	require.Error(t, err, "one that does not exist")
	require.NotContains(t, ends, schemas.Partition{Topic: "a", ID: 9}, "unknown is not zero")
}

// Who asks learns what the group gives, and that it ends.
func TestJoinedIsTold(t *testing.T) {
	t.Parallel()
	addrs := broker(t)
	makeIt := dial(t, config(addrs))
	_, err := makeIt.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "in", Partitions: 1}}, true)
	require.NoError(t, err)
	join := func() (told chan int, leave func() error) {
		told = make(chan int, 100)
		c, err := kafka.Dial(t.Context(), config(addrs), kafka.Settings{Joined: func(n int) { told <- n }})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return told, background(t, c, "in", func(ctx context.Context, _ *kafka.Assignment) error {
			<-ctx.Done()
			return nil
		})
	}
	await := func(told chan int, want int) {
		t.Helper()
		late := time.After(patience)
		for {
			select {
			case n := <-told:
				if n == want {
					return
				}
			case <-late:
				require.Failf(t, "not told", "%d", want)
			}
		}
	}
	first, leaveFirst := join()
	await(first, 1)
	second, leaveSecond := join()
	await(first, -1)
	// One of the two has the partition, and the other stands by.
	has, standsBy, leave := first, second, leaveFirst
	if n := <-first; n == 0 {
		has, standsBy, leave = second, first, leaveSecond
	}
	if has == second {
		await(second, 1)
	} else {
		await(second, 0)
	}
	require.NoError(t, leave())
	await(has, -1)
	await(standsBy, 1)
}
