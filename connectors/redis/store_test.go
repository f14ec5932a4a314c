package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

func startEmbedded(tb testing.TB) string {
	tb.Helper()
	srv, err := embedded.Start()
	require.NoError(tb, err)
	tb.Cleanup(srv.Close)
	return srv.Addr()
}

func dial(tb testing.TB, addr string) *redis.Client {
	tb.Helper()
	c := redis.DefaultConfig()
	c.Addr = addr
	cl, err := redis.Dial(tb.Context(), c, redis.Settings{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, cl.Close()) })
	return cl
}

var namespaces atomic.Int64

func freshStore(cl *redis.Client) func(testing.TB) cluster.CentroidStore {
	return func(testing.TB) cluster.CentroidStore {
		return cl.Store(fmt.Sprint("test-", namespaces.Add(1)), "sha256:0")
	}
}

func TestConform(t *testing.T) {
	t.Parallel()
	clustertest.Conform(t, 30, 150, freshStore(dial(t, startEmbedded(t))))
}
