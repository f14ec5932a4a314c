package redis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/stages"
)

func TestPing(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start()
	require.NoError(t, err)
	cfg := redis.DefaultConfig()
	cfg.Addr, cfg.Timeout = server.Addr(), time.Second
	c, err := redis.Dial(t.Context(), cfg, redis.Settings{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	require.NoError(t, c.Ping(t.Context()))
	server.Close()
	require.True(t, stages.IsTransient(c.Ping(t.Context())))
}
