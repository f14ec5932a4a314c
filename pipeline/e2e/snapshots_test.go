package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

// lostAndRestored empties Redis after more offsets than it may fold again,
// under a running worker, and brings a snapshot back.
func lostAndRestored(t *testing.T, s services) {
	t.Helper()
	dir := t.TempDir()
	cfg := configure(t, s, tinyBundle, "cluster.max_refold=60", "cluster.snapshots.dir="+dir, "cluster.snapshots.every=1s")
	o := observe(t, s)
	posts := oracle.NewWriter(5)
	w := start(t, cfg)
	o.produce(posts.Many(600)...)
	o.wait()
	w.end(t) // writes the last snapshot
	files, err := filepath.Glob(filepath.Join(dir, "*.centroids"))
	require.NoError(t, err)
	require.Len(t, files, 1)

	empty(t, s)

	// A worker that starts with nothing gives up what lies too far back.
	w = start(t, cfg)
	o.produce(posts.Many(40)...)
	o.wait()
	require.Less(t, o.centroids(cfg).Count, o.folded(), "what was lost cannot be folded again from the log alone")

	c, err := pipeline.OpenCentroids(t.Context(), cfg, pipeline.Settings{Now: time.Now})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Restore(t.Context(), files[0], false)
	require.ErrorContains(t, err, "holds centroids already")
	_, err = c.Restore(t.Context(), files[0], true)
	require.NoError(t, err)

	o.produce(posts.Many(100)...)
	o.wait()
	require.Eventually(t, func() bool {
		return o.centroids(cfg).Count == o.folded()
	}, patience, 50*time.Millisecond)
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{Rollback: true}))
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
	o := observe(t, s)
	w := start(t, cfg)
	o.produce(oracle.NewWriter(7).Many(200)...)
	o.wait()
	require.Equal(t, o.folded(), o.centroids(cfg).Count)
	empty(t, s)
	require.Eventually(t, func() bool { return o.centroids(cfg).Count == o.folded() }, patience, 50*time.Millisecond)
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{Rollback: true}))
}

// TestRestoreRefuses other files than whole snapshots of the configuration's
// namespace and bundle.
func TestRestoreRefuses(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle)
	w := start(t, cfg)
	o := observe(t, s)
	o.produce(oracle.NewWriter(6).Many(100)...)
	o.wait()
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
	before := o.centroids(cfg)
	_, err = c.Restore(t.Context(), path, true)
	require.NoError(t, err)
	require.Equal(t, before, o.centroids(cfg))
}
