package pipeline

import (
	"context"
	"log/slog"

	embeddedkafka "github.com/itrstream/itrstream/connectors/kafka/embedded"
	embeddedredis "github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/pipeline/config"
)

// Embedded is a Kafka and a Redis in this process, for trying things out and
// for tests. They keep nothing when they are closed.
type Embedded struct {
	kafka *embeddedkafka.Broker
	redis *embeddedredis.Server
}

// StartEmbedded starts what cfg names no address for, and writes the
// addresses into cfg.
func StartEmbedded(cfg *config.Config) (*Embedded, error) {
	e := &Embedded{}
	if len(cfg.Kafka.Brokers) == 0 {
		c := embeddedkafka.DefaultConfig()
		broker, err := embeddedkafka.Start(c)
		if err != nil {
			return nil, err
		}
		e.kafka, cfg.Kafka.Brokers = broker, broker.Addrs()
	}
	if cfg.Redis.Addr == "" {
		server, err := embeddedredis.Start()
		if err != nil {
			e.Close()
			return nil, err
		}
		e.redis, cfg.Redis.Addr = server, server.Addr()
	}
	return e, nil
}

// Close stops what was started.
func (e *Embedded) Close() {
	if e.redis != nil {
		e.redis.Close()
	}
	if e.kafka != nil {
		e.kafka.Close()
	}
}

func (e *Embedded) announce(ctx context.Context, log *slog.Logger) {
	if e.kafka != nil {
		log.InfoContext(ctx, "embedded Kafka, in memory only: set kafka.brokers for a real one", "brokers", e.kafka.Addrs())
	}
	if e.redis != nil {
		log.InfoContext(ctx, "embedded Redis, in memory only: set redis.addr for a real one", "addr", e.redis.Addr())
	}
}
