package kafka_test

import (
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	"github.com/itrstream/itrstream/schemas"
)

// What holds on the embedded broker holds on Apache Kafka.
func TestReal(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, kafkatest.Options{Secure: true, Properties: [][2]string{
		{"log.cleaner.backoff.ms", "200"},
		{"log.initial.task.delay.ms", "200"},
	}})
	_, err := dial(t, config(b.Addrs())).EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "posts", Partitions: 1}}, true)
	require.NoError(t, err)
	t.Run("topic refused", func(t *testing.T) {
		t.Parallel()
		_, err := dial(t, config(b.Addrs())).EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "bad name!"}, {Name: "spread", ReplicationFactor: 3}}, true)
		require.ErrorContains(t, err, "creating topic bad name!")
		require.ErrorContains(t, err, "creating topic spread")
		require.False(t, transient(err))
	})
	t.Run("transactions", func(t *testing.T) {
		t.Parallel()
		checkTransactions(t, b.Addrs())
	})
	t.Run("exactly once", func(t *testing.T) {
		t.Parallel()
		checkExactlyOnce(t, b.Addrs())
	})
	t.Run("large records", func(t *testing.T) {
		t.Parallel()
		checkLargeRecords(t, b.Addrs())
	})
	t.Run("sharing", func(t *testing.T) {
		t.Parallel()
		checkSharing(t, b.Addrs())
	})
	t.Run("added partitions", func(t *testing.T) {
		t.Parallel()
		checkAddedPartitions(t, b.Addrs())
	})
	t.Run("compacted", func(t *testing.T) {
		t.Parallel()
		checkCleaned(t, b.Addrs())
	})
	for _, ending := range endings {
		t.Run("slow drain, "+ending, func(t *testing.T) {
			t.Parallel()
			checkSlowDrain(t, b.Addrs(), ending, 3*time.Second)
		})
	}
	for mechanism := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			checkSASL(t, b.Secure.SASLAddr, b.Secure.Certificates, mechanism, "secured-"+mechanism)
		})
	}
	t.Run("mutual TLS", func(t *testing.T) {
		t.Parallel()
		cfg := config([]string{b.Secure.MutualAddr})
		cfg.TLS = kafka.TLS{Enabled: true, CAFile: b.Secure.CAFile, CertFile: b.Secure.CertFile, KeyFile: b.Secure.KeyFile}
		dial(t, cfg)
		cfg.TLS.CertFile, cfg.TLS.KeyFile = "", ""
		_, err := kafka.Dial(t.Context(), cfg, kafka.Settings{})
		require.ErrorContains(t, err, "kafka.tls")
	})
}

func TestRealOutage(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, kafkatest.Options{})
	checkOutage(t, b.Addrs(), b.Kill, b.Restart)
}

// checkCleaned reads a log that Kafka's own cleaner went over.
func checkCleaned(t *testing.T, addrs []string) {
	t.Helper()
	p := schemas.Partition{Topic: "cleaned"}
	c := dial(t, config(addrs))
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: p.Topic, Partitions: 1, Configs: [][2]string{
		{"cleanup.policy", "compact"},
		{"segment.ms", "300"},
		{"min.cleanable.dirty.ratio", "0.001"},
	}}}, true)
	require.NoError(t, err)
	put := func(keys ...string) {
		var records []kafka.Record
		for _, k := range keys {
			records = append(records, kafka.Record{Topic: p.Topic, Key: []byte(k), Value: []byte(k)})
		}
		require.NoError(t, c.Produce(t.Context(), records))
	}
	put("kept", "gone", "gone")
	put("gone", "gone")
	put("gone", "also kept")
	f := c.NewFetcher(p, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	eventually(t, func() bool {
		// A segment is closed only when a record comes after its time.
		put("last")
		time.Sleep(400 * time.Millisecond)
		_, end, err := c.Bounds(t.Context(), p)
		require.NoError(t, err)
		var keys []string
		for _, r := range readTo(t, f, 0, end) {
			if r.offset < 7 {
				keys = append(keys, r.key)
			}
		}
		return len(keys) == 3 && keys[0] == "kept" && keys[1] == "gone" && keys[2] == "also kept"
	}, "the cleaner")
	// The first batch has lost its end, the second everything.
	b, err := f.Next(t.Context(), 1, 5)
	require.NoError(t, err)
	require.Equal(t, schemas.OffsetRange{First: 1, End: 5}, b.Offsets)
	require.Zero(t, b.Posts().NumRows())
	b.Release()
}
