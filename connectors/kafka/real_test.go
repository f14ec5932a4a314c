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
	t.Run("interleaved transactions", func(t *testing.T) {
		t.Parallel()
		checkInterleaved(t, b.Addrs())
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
	for name, c := range accesses(t, b) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config([]string{c.addr})
			cfg.TLS, cfg.SASL = c.tls, c.sasl
			client, err := kafka.Dial(t.Context(), cfg, kafka.Settings{})
			if c.refused == "" {
				require.NoError(t, err)
				client.Close()
				return
			}
			require.ErrorContains(t, err, c.refused)
			require.NotContains(t, err.Error(), "-horse")
		})
	}
}

// access is one way to a broker.
type access struct {
	addr    string
	tls     kafka.TLS
	sasl    kafka.SASL
	refused string // what the error says to do; empty: let in
}

// accesses are those that checkSASL leaves: mutual TLS, and what people get
// wrong.
func accesses(t *testing.T, b *kafkatest.Broker) map[string]access {
	t.Helper()
	foreign := certificates(t)
	trusting := kafka.TLS{Enabled: true, CAFile: b.Secure.CAFile}
	mutual := trusting
	mutual.CertFile, mutual.KeyFile = b.Secure.CertFile, b.Secure.KeyFile
	stranger := trusting
	stranger.CertFile, stranger.KeyFile = foreign.CertFile, foreign.KeyFile
	misled := trusting
	misled.CAFile = foreign.CAFile
	elsewhere := trusting
	elsewhere.ServerName = "elsewhere"
	user := kafka.SASL{Mechanism: "scram-sha-512", Username: kafkatest.Username, Password: kafkatest.Password}
	nobody := user
	nobody.Username = "nobody"
	safe, asking, plain := b.Secure.SASLAddr, b.Secure.MutualAddr, b.Addrs()[0]
	return map[string]access{
		"mutual TLS":                   {asking, mutual, kafka.SASL{}, ""},
		"mutual TLS, no certificate":   {asking, trusting, kafka.SASL{}, "kafka.tls.cert_file"},
		"mutual TLS, a foreign one":    {asking, stranger, kafka.SASL{}, "kafka.tls.cert_file"},
		"a foreign authority":          {safe, misled, user, "kafka.tls.ca_file must hold"},
		"another name":                 {safe, elsewhere, user, "kafka.tls.server_name"},
		"an unknown user":              {safe, trusting, nobody, "refused user nobody: check kafka.sasl"},
		"TLS that is not spoken":       {safe, kafka.TLS{}, user, "expects TLS"},
		"TLS that is not heard":        {plain, trusting, kafka.SASL{}, "or no TLS"},
		"a password that is asked for": {safe, trusting, kafka.SASL{}, "expects SASL"},
		"a password that nobody wants": {plain, kafka.TLS{}, user, "leave kafka.sasl out"},
		"TLS and a password, unwanted": {plain, trusting, user, "expects no TLS"},
	}
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
