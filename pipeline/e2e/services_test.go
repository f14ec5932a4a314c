package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	embeddedkafka "github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	embeddedredis "github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
)

// services are the Kafka and the Redis of one test.
type services struct {
	brokers []string
	redis   string
}

func embeddedServices(t testing.TB) services {
	t.Helper()
	broker, err := embeddedkafka.Start(embeddedkafka.DefaultConfig())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	server, err := embeddedredis.Start()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return services{brokers: broker.Addrs(), redis: server.Addr()}
}

func realServices(t testing.TB) services {
	t.Helper()
	broker := kafkatest.Start(t, kafkatest.Options{})
	server := redistest.Start(t, redistest.Options{})
	return services{brokers: broker.Addrs(), redis: server.Addr()}
}
