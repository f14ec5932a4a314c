package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/schemas"
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

func freshNamespace() string { return fmt.Sprint("test-", namespaces.Add(1)) }

func freshStore(cl *redis.Client) func(testing.TB) cluster.CentroidStore {
	return func(testing.TB) cluster.CentroidStore { return cl.Store(freshNamespace(), "sha256:0") }
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	t.Parallel()
	clustertest.Conform(t, 40, 150, freshStore(dial(t, startEmbedded(t))))
}

func TestRealConform(t *testing.T) {
	t.Parallel()
	clustertest.Conform(t, 150, 150, freshStore(dial(t, redistest.Start(t, redistest.Options{}).Addr())))
}

func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	leaseEnds(t, startEmbedded(t))
}

func TestRealLeaseEnds(t *testing.T) {
	t.Parallel()
	leaseEnds(t, redistest.Start(t, redistest.Options{}).Addr())
}

// leaseEnds takes a lease and never gives it back.
func leaseEnds(t *testing.T, addr string) {
	t.Helper()
	store := dial(t, addr).Store("n", "d")
	ok, err := store.Lease(t.Context(), "dead", 200*time.Millisecond, true)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = store.Lease(t.Context(), "alive", time.Minute, false)
	require.NoError(t, err)
	require.False(t, ok)
	require.Eventually(t, func() bool {
		ok, err := store.Lease(t.Context(), "alive", time.Minute, false)
		return err == nil && ok
	}, 10*time.Second, 10*time.Millisecond)
}

// TestRealScriptsForgotten flushes the server's scripts, as a restart does.
func TestRealScriptsForgotten(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	store := dial(t, srv.Addr()).Store("n", "d")
	raw := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	for i := range int64(3) {
		reply, err := store.Claim(t.Context(), cluster.ClaimRequest{Partition: schemas.Partition{Topic: "posts"}, Incarnation: "x", Base: -1})
		require.NoError(t, err)
		require.Equal(t, i+1, reply.Token)
		require.NoError(t, raw.ScriptFlush(t.Context()).Err())
	}
}

// TestRealKeys looks at the keys from outside: one hash slot, whatever the
// names hold.
func TestRealKeys(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	raw := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	store := dial(t, srv.Addr()).Store("a}b{", "sha256:1")
	_, err := store.Claim(t.Context(), cluster.ClaimRequest{Partition: schemas.Partition{Topic: "posts", ID: 7}, Incarnation: "x", Base: -1, Fallback: 5, Floor: 9})
	require.NoError(t, err)
	keys, err := raw.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"{a)b(:sha256:1}:meta", "{a)b(:sha256:1}:pos"}, keys)
	at, err := raw.HGet(t.Context(), "{a)b(:sha256:1}:pos", "posts/7").Result()
	require.NoError(t, err)
	require.Equal(t, "1 9 5", at)
	gap, err := raw.HGet(t.Context(), "{a)b(:sha256:1}:meta", "gap posts/7").Result()
	require.NoError(t, err)
	require.Equal(t, "5 9", gap)
}
