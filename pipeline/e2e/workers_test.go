package e2e

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/arena/arenatest"
	"github.com/itrstream/itrstream/pipeline/config"
)

const (
	tinyBundle    = "../../model/testdata/tiny-bundle"
	shippedBundle = "../../model/bundles/itr-mini"
)

// settingsOf returns settings for small, quick runs.
func settingsOf(s services, bundle string, settings ...string) []string {
	return append([]string{
		"kafka.brokers=" + s.brokers[0], "redis.addr=" + s.redis, "model.bundle=" + filepath.FromSlash(bundle),
		"kafka.session_timeout=6s", "kafka.heartbeat_interval=500ms", "kafka.rebalance_timeout=10s", "shutdown.timeout=8s", "kafka.fetch_max_wait=50ms",
		"topics.partitions=3", "topics.replication_factor=1", "batch.max_rows=16",
		"cluster.k=8", "cluster.bootstrap=64", "cluster.report_every=0s", "ops.addr=",
	}, settings...)
}

func load(t testing.TB, settings []string) config.Config {
	t.Helper()
	cfg, err := config.Load("", nil, settings)
	require.NoError(t, err)
	return cfg
}

// configure returns a configuration for small, quick runs.
func configure(t testing.TB, s services, bundle string, settings ...string) config.Config {
	t.Helper()
	return load(t, settingsOf(s, bundle, settings...))
}

// makeTopics makes the topics before any worker does.
func makeTopics(t testing.TB, cfg config.Config) {
	t.Helper()
	client, err := kafka.Dial(t.Context(), cfg.Kafka, kafka.Settings{})
	require.NoError(t, err)
	defer client.Close()
	_, err = pipeline.EnsureTopics(t.Context(), client, cfg, true)
	require.NoError(t, err)
}

// worker is one running pipeline.
type worker struct {
	stop  context.CancelFunc
	done  chan error
	alloc *memory.CheckedAllocator
}

func start(t testing.TB, cfg config.Config) *worker {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &worker{stop: stop, done: make(chan error, 1), alloc: memory.NewCheckedAllocator(arenatest.Spoiler{Below: memory.NewGoAllocator()})}
	level := slog.LevelWarn
	if os.Getenv("ITRSTREAM_LOG_LEVEL") == "info" {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	go func() { w.done <- pipeline.Run(ctx, cfg, pipeline.Settings{Log: log, Now: time.Now, Alloc: w.alloc}) }()
	return w
}

// end stops the worker as Ctrl-C does, and checks that it ended well and
// freed every buffer.
func (w *worker) end(t testing.TB) {
	t.Helper()
	w.stop()
	select {
	case err := <-w.done:
		require.NoError(t, err)
	case <-time.After(40 * time.Second):
		require.Fail(t, "the worker does not end")
	}
	w.alloc.AssertSize(t, 0)
}
