package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
)

// workThrough starts a worker, sends posts, and stops it when all have an
// outcome.
func workThrough(t *testing.T, cfg config.Config, o *oracle, posts ...*sent) *seen {
	t.Helper()
	w := start(t, cfg)
	o.produce(posts...)
	got := o.wait(patience)
	w.end(t)
	return got
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
			s := embeddedServices(t)
			o := newOracle(t, s.brokers, "posts")
			posts := newWriter(t, 11)
			workThrough(t, configure(t, s, tinyBundle), o, posts.many(200)...)
			_, err := kadm.NewClient(o.client).DeleteGroups(t.Context(), "itrstream")
			require.NoError(t, err)
			cfg := configure(t, s, tinyBundle, "kafka.start="+begin)
			got := workThrough(t, cfg, o, posts.many(100)...)
			o.judge(got, true)
			holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
			again := 0
			for _, records := range got.results {
				again += len(records) - 1
			}
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
	o := newOracle(t, s.brokers, "posts")
	posts := newWriter(t, 12)
	workThrough(t, cfg, o, posts.many(200)...)
	admin := kadm.NewClient(o.client)
	_, err := admin.DeleteTopics(t.Context(), "posts")
	require.NoError(t, err)
	_, err = admin.CreateTopic(t.Context(), 3, 1, nil, "posts")
	require.NoError(t, err)
	require.ErrorContains(t, refused(t, cfg), "the topic was probably recreated")
}

// TestPostsAreDeletedUnread stops and says how to accept the loss.
func TestPostsAreDeletedUnread(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle)
	o := newOracle(t, s.brokers, "posts")
	posts := newWriter(t, 13)
	workThrough(t, cfg, o, posts.many(200)...)
	o.produce(posts.many(200)...)
	admin := kadm.NewClient(o.client)
	ends, err := admin.ListEndOffsets(t.Context(), "posts")
	require.NoError(t, err)
	_, err = admin.DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)
	require.ErrorContains(t, refused(t, cfg), "posts were deleted before they were read; set the group's offset")
}

// TestPartitionsAreAdded under a running worker: their posts are read from
// the first.
func TestPartitionsAreAdded(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, "kafka.start=latest")
	o := newOracle(t, s.brokers, "posts")
	w := start(t, cfg)
	admin := kadm.NewClient(o.client)
	require.Eventually(t, func() bool {
		committed, err := admin.FetchOffsets(t.Context(), cfg.Kafka.Group)
		return err == nil && len(committed["posts"]) == 3
	}, patience, 20*time.Millisecond, "the worker has its partitions")
	posts := newWriter(t, 14)
	o.produce(posts.many(100)...)
	_, err := admin.UpdatePartitions(t.Context(), 5, "posts")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		o.client.ForceMetadataRefresh()
		o.produce(posts.many(20)...)
		for _, p := range o.sent {
			if p.partition > 2 {
				return true
			}
		}
		return false
	}, patience, 100*time.Millisecond, "posts reach a new partition")
	got := o.wait(patience)
	w.end(t)
	o.judge(got, false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
}

// TestOlderBundleReturns: each bundle has centroids of its own, and one that
// comes back folds what it has missed.
func TestOlderBundleReturns(t *testing.T) {
	s := embeddedServices(t)
	older := configure(t, s, tinyBundle)
	newer := configure(t, s, otherVersion(t, tinyBundle))
	o := newOracle(t, s.brokers, "posts")
	posts := newWriter(t, 15)
	workThrough(t, older, o, posts.many(200)...)
	count, _ := o.folded()
	require.Equal(t, count, totals(t, older).Count)

	workThrough(t, newer, o, posts.many(200)...)
	require.Equal(t, count, totals(t, older).Count, "the older bundle's centroids stand")
	both, _ := o.folded()
	require.Equal(t, both-count, totals(t, newer).Count, "the newer bundle began where it came")

	got := workThrough(t, older, o, posts.many(100)...)
	o.judge(got, false)
	holdsEveryPair(t, o, older.Cluster.Bootstrap, totals(t, older))
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
