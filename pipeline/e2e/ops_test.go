package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	embeddedredis "github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/arena/arenatest"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/stages"
)

// logged keeps the log, down to debug.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// observed is a worker that can be looked into.
type observed struct {
	*worker
	url string
	log *logged
}

// startObserved starts a worker whose configuration has the ops listener on
// any port, and waits for it.
func startObserved(ctx context.Context, t *testing.T, cfg config.Config) *observed {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	o := &observed{log: &logged{}, worker: &worker{
		stop: stop, done: make(chan error, 1), alloc: memory.NewCheckedAllocator(arenatest.Spoiler{Below: memory.NewGoAllocator()}),
	}}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Log(o.log)
		}
	})
	log := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		o.done <- pipeline.Run(ctx, cfg, pipeline.Settings{Log: log, Now: time.Now, Alloc: o.alloc, Version: "v1"})
	}()
	listens := regexp.MustCompile(`msg="ops listener" addr=(\S+)`)
	require.Eventually(t, func() bool {
		found := listens.FindStringSubmatch(o.log.String())
		if found != nil {
			o.url = "http://" + found[1]
		}
		return found != nil
	}, patience, 5*time.Millisecond)
	return o
}

// get asks the listener; status 0 while it does not answer.
func (o *observed) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(o.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// becomes waits until path answers with a status, and returns the answer.
func (o *observed) becomes(t *testing.T, path string, status int) (body string) {
	t.Helper()
	got := 0
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if got, body = o.get(t, path); got == status {
			return body
		}
	}
	require.Failf(t, "does not come", "%s: %d, but %d: %s", path, status, got, body)
	return ""
}

// conditions reads an answer of /readyz.
func conditions(t *testing.T, body string) map[string]bool {
	t.Helper()
	var answer struct {
		Conditions []struct {
			Name string
			OK   bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	found := map[string]bool{}
	for _, c := range answer.Conditions {
		found[c.Name] = c.OK
	}
	return found
}

// documented are the metrics of itrstream run in the docs.
func documented(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(doc), "\n## itrstream run\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var names []string
	for _, row := range regexp.MustCompile("(?m)^`(itrstream_[a-z_]+)` \\| (\\w+)").FindAllStringSubmatch(section, -1) {
		name := row[1]
		if row[2] == "histogram" {
			name += "_bucket"
		}
		names = append(names, name)
	}
	require.Greater(t, len(names), 20)
	return names
}

// TestEveryDocumentedMetricIsServed scrapes a worker while it labels.
func TestEveryDocumentedMetricIsServed(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, "ops.addr=127.0.0.1:0")
	o := observe(t, s)
	w := startObserved(t.Context(), t, cfg)
	posts := oracle.NewWriter(31)
	o.produce(posts.Many(200)...)
	for _, name := range documented(t) {
		has := regexp.MustCompile(`(?m)^` + name + `[{ ]`)
		for until := time.Now().Add(patience); ; o.produce(posts.Many(20)...) {
			status, body := w.get(t, "/metrics")
			require.Equal(t, http.StatusOK, status)
			if has.MatchString(body) {
				break
			}
			require.True(t, time.Now().Before(until), "%s is not served", name)
		}
	}
	require.Equal(t, map[string]bool{"partitions_assigned": true, "model_warm": true, "redis_reachable": true, "working": true},
		conditions(t, w.becomes(t, "/readyz", http.StatusOK)))
	w.becomes(t, "/healthz", http.StatusOK)
	o.wait()

	// What the metrics count is what came out, and everything that came in.
	_, body := w.get(t, "/metrics")
	var sum float64
	for _, sample := range regexp.MustCompile(`(?m)^itrstream_posts_total\{outcome="\w+"\} (\S+)$`).FindAllStringSubmatch(body, -1) {
		var n float64
		require.NoError(t, json.Unmarshal([]byte(sample[1]), &n))
		sum += n
	}
	require.EqualValues(t, len(o.sent), sum)
	require.Contains(t, body, "\nitrstream_assigned_partitions 3\n")
	require.Contains(t, body, "\nitrstream_queue_batches 0\n")
	require.Contains(t, body, "\nitrstream_redis_up 1\n")
	require.Contains(t, body, `version="v1"`)
	require.Eventually(t, func() bool {
		_, body := w.get(t, "/metrics")
		return strings.Count(body, `,topic="posts"} 0`) == 3
	}, patience, 200*time.Millisecond, "nothing is behind")
	status, _ := w.get(t, "/debug/pprof/")
	require.Equal(t, http.StatusNotFound, status)
	w.end(t)
	o.judge(cfg, oracle.Rules{})
}

// TestRealHealthWhileServicesAreAway kills Redis, then the broker, under a
// worker: it is alive all the while, and ready again when they are back.
func TestRealHealthWhileServicesAreAway(t *testing.T) {
	broker := kafkatest.Start(t, kafkatest.Options{})
	store := redistest.Start(t, redistest.Options{AppendOnly: true})
	s := services{brokers: broker.Addrs(), redis: store.Addr()}
	cfg := configure(t, s, tinyBundle, "redis.timeout=1s", "ops.addr=127.0.0.1:0")
	o := observe(t, s)
	posts := oracle.NewWriter(32)
	w := startObserved(t.Context(), t, cfg)
	o.produce(posts.Many(100)...)
	w.becomes(t, "/readyz", http.StatusOK)
	o.wait()

	store.Kill()
	o.produce(posts.Many(50)...)
	require.False(t, conditions(t, w.becomes(t, "/readyz", http.StatusServiceUnavailable))["redis_reachable"])
	for {
		body := w.becomes(t, "/readyz", http.StatusServiceUnavailable)
		if !conditions(t, body)["working"] {
			require.Regexp(t, `posts/\d: cluster has waited for \d+s: .*redis: `, body)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	_, body := w.get(t, "/metrics")
	require.Contains(t, body, "\nitrstream_redis_up 0\n")
	status, body := w.get(t, "/healthz")
	require.Equal(t, http.StatusOK, status, body)
	store.Restart()
	w.becomes(t, "/readyz", http.StatusOK)

	broker.Kill()
	w.becomes(t, "/readyz", http.StatusServiceUnavailable)
	require.Eventually(t, func() bool {
		_, body := w.get(t, "/metrics")
		return !strings.Contains(body, "\nitrstream_consumer_lag_records{")
	}, patience, 200*time.Millisecond, "an unknown lag is no lag of zero")
	status, body = w.get(t, "/healthz")
	require.Equal(t, http.StatusOK, status, body)
	broker.Restart()
	w.becomes(t, "/readyz", http.StatusOK)
	o.produce(posts.Many(50)...)
	o.wait()
	w.end(t)
	o.judge(cfg, oracle.Rules{})
}

// TestRedisAwayIsAliveAndNotReady is the same in small.
func TestRedisAwayIsAliveAndNotReady(t *testing.T) {
	s := embeddedServices(t)
	store, err := embeddedredis.Start()
	require.NoError(t, err)
	s.redis = store.Addr()
	w := startObserved(t.Context(), t, configure(t, s, tinyBundle, "ops.addr=127.0.0.1:0"))
	w.becomes(t, "/readyz", http.StatusOK)
	store.Close()
	require.Equal(t, map[string]bool{"partitions_assigned": true, "model_warm": true, "redis_reachable": false, "working": true},
		conditions(t, w.becomes(t, "/readyz", http.StatusServiceUnavailable)))
	status, body := w.get(t, "/healthz")
	require.Equal(t, http.StatusOK, status, body)
	w.end(t)
}

// TestAStuckStageIsNotAlive holds one partition up for ever.
func TestAStuckStageIsNotAlive(t *testing.T) {
	s := embeddedServices(t)
	stuck := make(chan struct{})
	ctx := stages.WithCrashes(t.Context(), func(p stages.CrashPoint) {
		if p == stages.BeforeProduce {
			<-stuck
		}
	})
	w := startObserved(ctx, t, configure(t, s, tinyBundle, "ops.addr=127.0.0.1:0", "ops.stuck_after=1s"))
	w.becomes(t, "/readyz", http.StatusOK)
	w.becomes(t, "/healthz", http.StatusOK)
	o := observe(t, s)
	o.produce(oracle.NewWriter(33).Many(20)...)
	require.Regexp(t, `posts/\d: emit has been on \[\d+,\d+\) for \d+s without getting on`, w.becomes(t, "/healthz", http.StatusServiceUnavailable))
	w.becomes(t, "/readyz", http.StatusServiceUnavailable)
	close(stuck)
	w.becomes(t, "/healthz", http.StatusOK)
	w.end(t)
}

// TestTwoOnOnePort: the second says what is wrong, and starts nothing.
func TestTwoOnOnePort(t *testing.T) {
	s := embeddedServices(t)
	w := startObserved(t.Context(), t, configure(t, s, tinyBundle, "ops.addr=127.0.0.1:0"))
	second := start(t, configure(t, s, tinyBundle, "ops.addr="+strings.TrimPrefix(w.url, "http://")))
	require.ErrorContains(t, <-second.done, "is in use")
	w.end(t)
}
