package ops_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_700_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newHealth(c *clock) *ops.Health {
	return ops.NewHealth(ops.Config{StuckAfter: time.Minute}, c.now)
}

var offsets = schemas.OffsetRange{First: 16, End: 32}

func TestStuckIsWhatDoesNotGetOnWithItsInput(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := newHealth(c)
	infer, idle := h.Watch("posts/3: infer"), h.Watch("posts/4: infer")
	c.pass(time.Hour)
	require.Empty(t, h.Alive(), "idle for long is not stuck")

	infer.Begin(offsets)
	c.pass(time.Minute)
	require.Empty(t, h.Alive())
	c.pass(time.Second)
	require.Equal(t, []string{"posts/3: infer has been on [16,32) for 1m1s without getting on"}, h.Alive())
	states, ready := h.Ready()
	require.False(t, ready, "what is stuck is not ready")
	require.Equal(t, []ops.State{{Name: "working", Detail: "posts/3: infer has been on [16,32) for 1m1s without getting on"}}, states)

	infer.End()
	require.Empty(t, h.Alive())
	idle.Begin(offsets)
	infer.Begin(offsets)
	c.pass(2 * time.Minute)
	require.Len(t, h.Alive(), 2)
	infer.Begin(offsets)
	require.Len(t, h.Alive(), 1, "the next batch is progress")
	idle.Close()
	require.Empty(t, h.Alive(), "the partition has gone")
}

func TestWaitingIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := newHealth(c)
	a := h.Watch("posts/0: cluster")
	a.Begin(offsets)
	away := errors.New("redis: 127.0.0.1:1 does not answer")
	for range 600 {
		a.Wait(away)
		c.pass(2 * time.Second)
	}
	require.Empty(t, h.Alive())
	states, ready := h.Ready()
	require.False(t, ready)
	require.Equal(t, "posts/0: cluster has waited for 20m0s: redis: 127.0.0.1:1 does not answer", states[0].Detail)

	c.pass(time.Minute)
	require.Len(t, h.Alive(), 1, "a try that hangs is stuck")

	a.Wait(nil)
	_, ready = h.Ready()
	require.True(t, ready)
	c.pass(50 * time.Second)
	require.Empty(t, h.Alive(), "the time spent waiting is not held against it")
}

func TestAShortWaitIsNotWorthAWord(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := newHealth(c)
	a := h.Watch("posts/0: fetch")
	a.Begin(offsets)
	a.Wait(errors.New("away"))
	c.pass(5 * time.Second)
	_, ready := h.Ready()
	require.True(t, ready)
	c.pass(time.Second)
	_, ready = h.Ready()
	require.False(t, ready)
	a.End()
	_, ready = h.Ready()
	require.True(t, ready, "given up")
}

func TestReadyNeedsEveryCondition(t *testing.T) {
	t.Parallel()
	h := newHealth(newClock())
	warm, redis := h.Require("model_warm"), h.Require("redis_reachable")
	states, ready := h.Ready()
	require.False(t, ready)
	require.Equal(t, []ops.State{{"model_warm", false, "not yet"}, {"redis_reachable", false, "not yet"}, {"working", true, ""}}, states)
	warm.Set(true, "itr-mini")
	_, ready = h.Ready()
	require.False(t, ready)
	redis.Set(true, "")
	states, ready = h.Ready()
	require.True(t, ready)
	require.Equal(t, []ops.State{{"model_warm", true, "itr-mini"}, {"redis_reachable", true, ""}, {"working", true, ""}}, states)
	require.Empty(t, h.Alive())
}

func TestHealthOverHTTP(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := newHealth(c)
	condition := h.Require("model_warm")
	url := listen(t, ops.Config{Addr: "127.0.0.1:0"}, h)

	status, body := get(t, url+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"alive": true}`, body)
	status, body = get(t, url+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"ready": false, "conditions": [{"name": "model_warm", "ok": false, "detail": "not yet"}, {"name": "working", "ok": true}]}`, body)

	condition.Set(true, "")
	status, _ = get(t, url+"/readyz")
	require.Equal(t, http.StatusOK, status)
	h.Watch("posts/0: media").Begin(offsets)
	c.pass(time.Hour)
	status, body = get(t, url+"/healthz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"alive": false, "stuck": ["posts/0: media has been on [16,32) for 1h0m0s without getting on"]}`, body)
}
