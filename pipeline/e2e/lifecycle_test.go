package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

// workThrough starts a worker, sends posts, and stops it when all have an
// outcome.
func workThrough(t *testing.T, cfg config.Config, o *observer, posts ...*oracle.Post) {
	t.Helper()
	w := start(t, cfg)
	o.produce(posts...)
	o.wait()
	w.end(t)
}

// refused runs a worker that must stop by itself, and returns why.
func refused(t *testing.T, cfg config.Config) error {
	t.Helper()
	w := start(t, cfg)
	select {
	case err := <-w.done:
		require.Error(t, err)
		return err
	case <-time.After(patience):
		require.Fail(t, "the worker goes on")
		return nil
	}
}

// TestGroupIsDeleted goes on where kafka.start says, but skips nothing and
// folds nothing twice: with earliest everything is emitted again, with latest
// at most the last batch of a partition, always with the same result ids.
func TestGroupIsDeleted(t *testing.T) {
	for begin, most := range map[string]int{"earliest": 200, "latest": 3 * 16} {
		t.Run(begin, func(t *testing.T) {
			rules := oracle.Rules{Repeats: true, Rollback: true, Changes: true}
			s := embeddedServices(t)
			o := observe(t, s)
			posts := oracle.NewWriter(11)
			workThrough(t, configure(t, s, tinyBundle), o, posts.Many(200)...)
			_, err := admin(t, s).DeleteGroups(t.Context(), "itrstream")
			require.NoError(t, err)
			cfg := configure(t, s, tinyBundle, "kafka.start="+begin)
			workThrough(t, cfg, o, posts.Many(100)...)
			made(t, o.judge(cfg, rules))
			again := o.Judge(nil, rules).Repeated
			require.LessOrEqual(t, again, most)
			if begin == "earliest" {
				require.Greater(t, again, 100)
			}
		})
	}
}

// TestTopicIsRecreated stops and says so: offsets mean other posts now.
func TestTopicIsRecreated(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle)
	o := observe(t, s)
	posts := oracle.NewWriter(12)
	workThrough(t, cfg, o, posts.Many(200)...)
	kafka := admin(t, s)
	_, err := kafka.DeleteTopics(t.Context(), "posts")
	require.NoError(t, err)
	_, err = kafka.CreateTopic(t.Context(), 3, 1, nil, "posts")
	require.NoError(t, err)
	require.ErrorContains(t, refused(t, cfg), "the topic was probably recreated")
}

// TestPostsAreDeletedUnread stops and says how to accept the loss.
func TestPostsAreDeletedUnread(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle)
	o := observe(t, s)
	posts := oracle.NewWriter(13)
	workThrough(t, cfg, o, posts.Many(200)...)
	o.produce(posts.Many(200)...)
	kafka := admin(t, s)
	ends, err := kafka.ListEndOffsets(t.Context(), "posts")
	require.NoError(t, err)
	_, err = kafka.DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)
	require.ErrorContains(t, refused(t, cfg), "posts were deleted before they were read; set the group's offset")
}

// TestPartitionsAreAdded under a running worker: their posts are read from
// the first.
func TestPartitionsAreAdded(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, "kafka.start=latest")
	o := observe(t, s)
	w := start(t, cfg)
	kafka := admin(t, s)
	require.Eventually(t, func() bool {
		committed, err := kafka.FetchOffsets(t.Context(), cfg.Kafka.Group)
		return err == nil && len(committed["posts"]) == 3
	}, patience, 20*time.Millisecond, "the worker has its partitions")
	posts := oracle.NewWriter(14)
	o.produce(posts.Many(100)...)
	_, err := kafka.UpdatePartitions(t.Context(), 5, "posts")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		o.produce(posts.Many(20)...)
		ends, err := kafka.ListEndOffsets(t.Context(), "posts")
		return err == nil && (ends["posts"][3].Offset > 0 || ends["posts"][4].Offset > 0)
	}, patience, 100*time.Millisecond, "posts reach a new partition")
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))
}

// TestOlderBundleReturns: each bundle has centroids of its own, and one that
// comes back folds what it has missed.
func TestOlderBundleReturns(t *testing.T) {
	s := embeddedServices(t)
	older := configure(t, s, tinyBundle)
	newer := configure(t, s, otherVersion(t, tinyBundle))
	o := observe(t, s)
	posts := oracle.NewWriter(15)
	workThrough(t, older, o, posts.Many(200)...)
	count := o.folded()
	require.Equal(t, count, o.centroids(older).Count)

	workThrough(t, newer, o, posts.Many(200)...)
	require.Equal(t, count, o.centroids(older).Count, "the older bundle's centroids stand")
	require.Equal(t, o.folded()-count, o.centroids(newer).Count, "the newer bundle began where it came")

	workThrough(t, older, o, posts.Many(100)...)
	made(t, o.judge(older, oracle.Rules{Changes: true}))
}

// otherVersion copies a bundle, and calls it another version.
func otherVersion(t *testing.T, bundle string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.FromSlash(bundle))))
	path := filepath.Join(dir, model.ManifestFile)
	manifest, err := os.ReadFile(path)
	require.NoError(t, err)
	changed := bytes.Replace(manifest, []byte("version: 0.0.1"), []byte("version: 0.0.2"), 1)
	require.NotEqual(t, manifest, changed)
	require.NoError(t, os.WriteFile(path, changed, 0o600))
	return dir
}
