package kafkatest_test

import (
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
)

// A broker that was killed comes back with the topics it had.
func TestRealRestart(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, kafkatest.Options{})
	client := &kafkago.Client{Addr: kafkago.TCP(b.Addrs()...), Timeout: 20 * time.Second, Transport: &kafkago.Transport{}}
	res, err := client.CreateTopics(t.Context(), &kafkago.CreateTopicsRequest{
		Topics: []kafkago.TopicConfig{{Topic: "kept", NumPartitions: 3, ReplicationFactor: 1}},
	})
	require.NoError(t, err)
	require.NoError(t, res.Errors["kept"])

	b.Restart()
	conn, err := kafkago.DialContext(t.Context(), "tcp", b.Addrs()[0])
	require.NoError(t, err)
	parts, err := conn.ReadPartitions("kept")
	require.NoError(t, err)
	require.Len(t, parts, 3)
	require.NoError(t, conn.Close())
}
