package embedded_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/connectors/kafka/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, b *embedded.Broker) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.DefaultProduceTopic("topic"), kgo.ConsumeTopics("topic"),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, embedded.DefaultConfig().Validate())
	for _, listen := range []string{"127.0.0.1:9092", "[::1]:0", "localhost:1"} {
		cfg := embedded.DefaultConfig()
		cfg.Listen = listen
		require.NoError(t, cfg.Validate())
	}
	for _, listen := range []string{"", "0.0.0.0:9092", ":9092", "192.168.1.1:9092", "127.0.0.1", "127.0.0.1:70000", "example.org:1"} {
		cfg := embedded.Config{Listen: listen, MaxMessageBytes: 3, RetentionBytes: -1}
		_, err := embedded.Start(cfg)
		require.ErrorContains(t, err, fmt.Sprintf("listen: %q", listen))
		require.ErrorContains(t, err, "max_message_bytes: 3")
		require.ErrorContains(t, err, "retention_bytes: -1")
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	b, err := embedded.Start(embedded.DefaultConfig())
	require.NoError(t, err)
	t.Cleanup(b.Close)
	cfg := embedded.DefaultConfig()
	cfg.Listen = b.Addrs()[0]
	_, err = embedded.Start(cfg)
	require.ErrorContains(t, err, cfg.Listen)
}

// Memory is bounded: what is over the retention goes, oldest first.
func TestRetention(t *testing.T) {
	t.Parallel()
	cfg := embedded.DefaultConfig()
	cfg.RetentionBytes = 8 << 20
	b, err := embedded.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	admin := kadm.NewClient(client(t, b))
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, "topic")
	require.NoError(t, err)
	c := client(t, b)
	for range 64 {
		require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Value: make([]byte, 512<<10)}).FirstErr())
	}
	require.Eventually(t, func() bool {
		start, err := admin.ListStartOffsets(context.WithoutCancel(t.Context()), "topic")
		require.NoError(t, err)
		at, _ := start.Lookup("topic", 0)
		return at.Offset >= 40
	}, 20*time.Second, 100*time.Millisecond)
}

// A data directory keeps records for the next broker on it.
func TestDataDir(t *testing.T) {
	t.Parallel()
	cfg := embedded.DefaultConfig()
	cfg.DataDir = t.TempDir()
	b, err := embedded.Start(cfg)
	require.NoError(t, err)
	_, err = kadm.NewClient(client(t, b)).CreateTopic(t.Context(), 1, 1, nil, "topic")
	require.NoError(t, err)
	require.NoError(t, client(t, b).ProduceSync(t.Context(), kgo.StringRecord("kept")).FirstErr())
	b.Close()
	b.Close() // again does nothing

	b, err = embedded.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	fetches := client(t, b).PollFetches(ctx)
	require.NoError(t, fetches.Err())
	require.Equal(t, "kept", string(fetches.Records()[0].Value))
}
