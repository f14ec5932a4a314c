package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline"
)

// lostAndRestored empties Redis after more offsets than it may fold again,
// under a running worker, and brings a snapshot back.
func lostAndRestored(t *testing.T, s services) {
	t.Helper()
	dir := t.TempDir()
	cfg := configure(t, s, tinyBundle, "cluster.max_refold=60", "cluster.snapshots.dir="+dir, "cluster.snapshots.every=1s")
	o := newOracle(t, s.brokers, "posts")
	posts := newWriter(t, 5)
	w := start(t, cfg)
	o.produce(posts.many(600)...)
	o.wait(patience)
	w.end(t) // writes the last snapshot
	files, err := filepath.Glob(filepath.Join(dir, "*.centroids"))
	require.NoError(t, err)
	require.Len(t, files, 1)

	raw := goredis.NewClient(&goredis.Options{Addr: s.redis})
	defer func() { require.NoError(t, raw.Close()) }()
	require.NoError(t, raw.FlushAll(t.Context()).Err())

	// A worker that starts with nothing gives up what lies too far back.
	w = start(t, cfg)
	o.produce(posts.many(40)...)
	o.wait(patience)
	count, _ := o.folded()
	require.Less(t, totals(t, cfg).Count, count, "what was lost cannot be folded again from the log alone")

	c, err := pipeline.OpenCentroids(t.Context(), cfg, pipeline.Settings{Now: time.Now})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Restore(t.Context(), files[0], false)
	require.ErrorContains(t, err, "holds centroids already")
	_, err = c.Restore(t.Context(), files[0], true)
	require.NoError(t, err)

	o.produce(posts.many(100)...)
	got := o.wait(patience)
	require.Eventually(t, func() bool {
		count, _ := o.folded()
		return totals(t, cfg).Count == count
	}, patience, 50*time.Millisecond)
	w.end(t)
	o.judge(got, false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
	files, err = filepath.Glob(filepath.Join(dir, "*.centroids"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 2, "each incarnation has a file of its own")
}

func TestLostAndRestoredEmbedded(t *testing.T) { lostAndRestored(t, embeddedServices(t)) }
func TestRealLostAndRestored(t *testing.T)     { lostAndRestored(t, realServices(t)) }

// TestRedisForgetsWhileIdle: what Redis loses is folded again though no post
// comes.
func TestRedisForgetsWhileIdle(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle)
	o := newOracle(t, s.brokers, "posts")
	w := start(t, cfg)
	o.produce(newWriter(t, 7).many(200)...)
	o.wait(patience)
	count, _ := o.folded()
	require.Equal(t, count, totals(t, cfg).Count)
	raw := goredis.NewClient(&goredis.Options{Addr: s.redis})
	defer func() { require.NoError(t, raw.Close()) }()
	require.NoError(t, raw.FlushAll(t.Context()).Err())
	require.Eventually(t, func() bool { return totals(t, cfg).Count == count }, patience, 50*time.Millisecond)
	got := o.wait(patience)
	w.end(t)
	o.judge(got, false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
}

// TestRestoreRefuses other files than whole snapshots of the configuration's
// namespace and bundle.
func TestRestoreRefuses(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle)
	w := start(t, cfg)
	o := newOracle(t, s.brokers, "posts")
	o.produce(newWriter(t, 6).many(100)...)
	o.wait(patience)
	w.end(t)

	open := func(settings ...string) *pipeline.Centroids {
		c, err := pipeline.OpenCentroids(t.Context(), configure(t, s, tinyBundle, settings...), pipeline.Settings{Now: time.Now})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		return c
	}
	c, path := open(), filepath.Join(t.TempDir(), "a.centroids")
	_, err := c.Snapshot(t.Context(), path)
	require.NoError(t, err)
	_, err = c.Snapshot(t.Context(), path)
	require.ErrorContains(t, err, "exists")
	_, err = open("cluster.namespace=other").Restore(t.Context(), path, true)
	require.ErrorContains(t, err, `the configuration names "other"`)
	_, err = open("cluster.namespace=other").Snapshot(t.Context(), path+"2")
	require.ErrorContains(t, err, "there are no centroids")

	data, err := os.ReadFile(path)
	require.NoError(t, err)
	flipped := append([]byte(nil), data...)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string][]byte{
		"half": data[:len(data)/2], "no end": data[:len(data)-1], "flipped": flipped, "text": []byte("{}"), "empty": nil,
	} {
		file := filepath.Join(t.TempDir(), "bad.centroids")
		require.NoError(t, os.WriteFile(file, bad, 0o600))
		_, err := c.Restore(t.Context(), file, true)
		require.ErrorContains(t, err, "no whole snapshot", name)
	}
	before := totals(t, cfg)
	_, err = c.Restore(t.Context(), path, true)
	require.NoError(t, err)
	require.Equal(t, before, totals(t, cfg))
}
