package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

// fromPostsToShards labels posts, collects some of their pairs, and holds the
// data set's rows against the results.
func fromPostsToShards(t *testing.T, s services) {
	t.Helper()
	cfg := configure(t, s, tinyBundle,
		"collect.images=file://"+t.TempDir(), "collect.dataset=file://"+t.TempDir(), "collect.rate=0.3", "collect.shard_rows=10",
		// The posts share a few pictures and texts.
		"collect.duplicates.capacity=0")
	o := observe(t, s)
	w := start(t, cfg)
	o.produce(oracle.NewWriter(41).Many(400)...)
	o.wait()
	w.end(t)
	o.judge(cfg, oracle.Rules{})
	for range 2 { // the second time there is nothing to do
		require.NoError(t, collector.Run(t.Context(), cfg, collector.Settings{
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now, Alloc: memory.DefaultAllocator, UntilIdle: true,
		}))
	}

	results, _ := labels(t, s)
	want := collected(t, s)
	for name, row := range want.rows {
		if slices.Contains(want.takedowns, row.PostID) {
			delete(want.rows, name)
		}
	}
	require.Greater(t, len(want.rows), 40)

	folder, err := dataset.Open(t.Context(), cfg.Collect.Dataset)
	require.NoError(t, err)
	defer folder.Close() //nolint:errcheck // only read
	m, err := folder.ReadManifest(t.Context())
	require.NoError(t, err)
	require.Greater(t, len(m.Shards), 3)
	for _, shard := range m.Shards {
		r, err := folder.Shard(t.Context(), shard.Path, memory.DefaultAllocator)
		require.NoError(t, err)
		for row, err := range r.Rows(t.Context()) {
			require.NoError(t, err)
			c := row.Collected
			name := pairName(c.ResultID, c.Pair)
			record, result := want.rows[name], results[c.ResultID]
			require.NotNil(t, record, "%s: twice, or never collected", name)
			delete(want.rows, name)
			pair := result.Pairs[c.Pair]
			require.Equal(t, []any{result.PostID, result.Text, pair.Relation, pair.Digest, pair.Alt}, []any{c.PostID, c.Text, c.Relation, c.Image.Digest, c.Alt})
			require.Equal(t, result.Model, c.Model)
			require.Equal(t, result.ConfigDigest, c.ConfigDigest)
			require.InDelta(t, pair.Scores.Both, c.Scores[3], 1e-6)
			require.InDelta(t, *pair.Similarity, c.Similarity, 1e-6)
			require.Equal(t, record.Selected, c.Selected)
			require.Equal(t, record.Image.MIME, c.Image.MIME)
			sum := sha256.Sum256(row.Image)
			require.Equal(t, pair.Digest, hex.EncodeToString(sum[:]))
		}
	}
	require.Empty(t, want.rows, "collected, and in no shard")
}

func TestFromPostsToShardsEmbedded(t *testing.T) { fromPostsToShards(t, embeddedServices(t)) }
func TestRealFromPostsToShards(t *testing.T)     { fromPostsToShards(t, realServices(t)) }
