package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/collect"
	"github.com/itrstream/itrstream/stages/media"
)

// rich is a batch that went through cluster: two pictures and a broken one, a sensitive
// post, a delete.
func rich(t *testing.T) *schemas.Batch {
	t.Helper()
	alloc := memory.DefaultAllocator
	b := schematest.Decoded(t, alloc, []string{
		`{"post_source":"reddit","post_op":"create","post_id":"p0","post_author_id":"a0","post_text":"fog","post_langs":["en"],"post_uri":"https://reddit.example/0",
		  "post_license":"CC0-1.0","post_created_at":"2026-09-01T10:15:29.900Z"}`,
		`{"post_op":"create","post_id":"p1","post_text":"no","post_sensitive":true}`,
		`{"post_op":"delete","post_id":"p2"}`,
	}, []string{
		`{"pair_post":0,"pair_index":0,"pair_url":"https://media.example/0.jpg","pair_alt":"a ridge"}`, `{"pair_post":0,"pair_index":2}`, `{"pair_post":0,"pair_index":3}`,
		`{"pair_post":1,"pair_index":0}`,
	})
	schematest.AddPairs(t, alloc, b, schemas.MediaFields(1)[2:], `{}`, `{}`, `{"pair_failure":"corrupt"}`, `{}`)
	labelled := `{"pair_scores":[0.1,0.5,0.25,0.15],"pair_text_is_represented":0.4,"pair_image_adds":0.65,"pair_similarity":-0.125,"pair_embedding":[1]}`
	schematest.AddPairs(t, alloc, b, schemas.InferFields(1), labelled, labelled, `{}`, labelled)
	schematest.AddPairs(t, alloc, b, schemas.ClusterFields(),
		`{"pair_cluster":"c7","pair_cluster_status":"assigned","pair_novelty":true}`, `{"pair_cluster_status":"bootstrapping"}`, `{}`, `{}`)
	schematest.AddPosts(t, alloc, b, schemas.DecideFields(), `{"post_decisions":[]}`, `{"post_decisions":[]}`, `{}`)
	return b
}

func newTestCollecting(t *testing.T, edit func(*config.Collect)) (*collecting, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "images")
	cfg := config.Default().Collect
	cfg.Images, cfg.Rate = "file://"+dir, 1
	if edit != nil {
		edit(&cfg)
	}
	c, err := newCollecting(t.Context(), cfg, collect.Settings{
		Meta: schemas.ResultMeta{KafkaCluster: "c"}, Alloc: memory.DefaultAllocator, Log: slog.New(slog.DiscardHandler),
	}, time.Now)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	return c, dir
}

// offer gives the holder an image for each row.
func (c *collecting) offer(b *schemas.Batch, images ...media.Encoded) {
	for row, im := range images {
		c.holder().Hold(b, row, sha256.Sum256(im.Data), im)
	}
}

func TestCollectedRecords(t *testing.T) {
	t.Parallel()
	c, dir := newTestCollecting(t, nil)
	b := rich(t)
	defer b.Release()
	c.offer(b, media.Encoded{Data: []byte("\xff\xd8\xffone")}, media.Encoded{Data: []byte(pngBytes)}, media.Encoded{Data: []byte("broken")}, media.Encoded{Data: []byte("GIF89a")})
	images, err := c.pick(t.Context(), b)
	require.NoError(t, err)
	require.Len(t, images, 2)

	at := schematest.Start.Add(time.Minute)
	e := &emitter{
		topics: config.Default().Topics, privacy: private(t), collects: true, now: func() time.Time { return at },
		meta: schemas.ResultMeta{KafkaCluster: "c", Model: schemas.ModelRef{Name: "m"}, ConfigDigest: "d"},
	}
	records, err := e.records(b, images, newJourney(t.Context(), nil, b))
	require.NoError(t, err)
	records = slices.DeleteFunc(records, func(r kafka.Record) bool { return r.Topic != "collected" })
	require.Len(t, records, 3)

	row, _, err := schemas.ReadCollection(records[0].Value)
	require.NoError(t, err)
	cluster, novel := "c7", true
	require.Equal(t, "p0", string(records[0].Key))
	require.EqualValues(t, kafka.ByKey, records[0].Partition)
	require.Equal(t, &schemas.Collected{
		Schema: schemas.CollectedSchema, ResultID: schemas.ResultID("c", b.Partition, 0), PostID: "p0", Source: "reddit",
		CreatedAt: time.Date(2026, 9, 1, 10, 15, 29, 900_000_000, time.UTC), Langs: []string{"en"}, Text: "fog", Alt: "a ridge", URI: "https://reddit.example/0",
		License:  "CC0-1.0",
		Image:    schemas.CollectedImage{Digest: digestOf("\xff\xd8\xffone"), Bytes: 6, MIME: "image/jpeg", URL: "https://media.example/0.jpg"},
		Relation: "image_adds", Scores: [4]float64{0.1, 0.5, 0.25, 0.15}, TextIsRepresented: 0.4, ImageAdds: 0.65, Similarity: -0.125,
		Cluster: &cluster, Novel: &novel, Selected: schemas.Selected{Reason: "novel", Probability: 1},
		Model: schemas.ModelRef{Name: "m"}, ConfigDigest: "d", CollectedAt: at,
		Input: schemas.Input{Topic: b.Partition.Topic, Partition: b.Partition.ID, Time: schematest.Start},
	}, row)
	row, _, err = schemas.ReadCollection(records[1].Value)
	require.NoError(t, err)
	require.Equal(t, 2, row.Pair)
	require.Nil(t, row.Cluster)
	require.Equal(t, "rate", row.Selected.Reason)

	_, takedown, err := schemas.ReadCollection(records[2].Value)
	require.NoError(t, err)
	require.Equal(t, &schemas.Takedown{Schema: schemas.TakedownSchema, PostID: "p2", RequestedAt: schematest.Start}, takedown)
	require.Equal(t, "p2", string(records[2].Key))

	for _, image := range []string{"\xff\xd8\xffone", pngBytes} {
		digest := digestOf(image)
		data, err := os.ReadFile(filepath.Join(dir, digest[:2], digest))
		require.NoError(t, err)
		require.Equal(t, image, string(data))
	}
	folders, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, folders, 2, "nothing of the others")

	c.forgetting(b)()
	require.Zero(t, c.held.bytes)

	e.collects = false
	records, err = e.records(b, nil, newJourney(t.Context(), nil, b))
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(records, func(r kafka.Record) bool { return r.Topic == "collected" }))
}

// What reserves its use, by the host's word or by its own, and what found no
// room, is not collected.
func TestImagesThatAreNotCollected(t *testing.T) {
	t.Parallel()
	for name, im := range map[string]media.Encoded{
		"its host reserves it": {Data: []byte("GIF89a"), Reserved: true},
		"it reserves itself":   {Data: []byte("GIF89a DMI-PROHIBITED-AIMLTRAINING")},
		"too large to be held": {Data: make([]byte, 2000)},
	} {
		c, dir := newTestCollecting(t, func(cfg *config.Collect) { cfg.HoldBytes = 1000 })
		b := rich(t)
		c.offer(b, im, media.Encoded{Data: []byte("GIF89a, free")})
		images, err := c.pick(t.Context(), b)
		require.NoError(t, err)
		require.Len(t, images, 1, name)
		require.Contains(t, images, 1, name)
		folders, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, folders, 1, name)
		b.Release()
	}
}

func TestAStoreThatIsAwayCostsPairsAlone(t *testing.T) {
	t.Parallel()
	c, _ := newTestCollecting(t, nil)
	c.puts.store = &shelf{fail: errors.New("away")}
	b := rich(t)
	defer b.Release()
	c.offer(b, media.Encoded{Data: []byte("GIF89a")}, media.Encoded{Data: []byte("GIF89b")})
	images, err := c.pick(t.Context(), b)
	require.NoError(t, err)
	require.Empty(t, images)

	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, err = c.pick(stopped, b)
	require.ErrorIs(t, err, context.Canceled)
}

func TestCollectingNothing(t *testing.T) {
	t.Parallel()
	c, err := newCollecting(t.Context(), config.Default().Collect, collect.Settings{}, time.Now)
	require.NoError(t, err)
	require.Nil(t, c)
	require.Nil(t, c.holder(), "a nil that media knows")
	require.NoError(t, c.close())
	b := rich(t)
	defer b.Release()
	images, err := c.pick(t.Context(), b)
	require.NoError(t, err)
	require.Empty(t, images)
	require.False(t, schemas.Has(b.Pairs(), schemas.PairSelected))
	c.forgetting(b)()
	c.committed(b, nil)
}

func TestAnImageStoreThatCannotBeIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cfg := config.Default().Collect
	cfg.Images = "file://" + file
	_, err := newCollecting(t.Context(), cfg, collect.Settings{}, time.Now)
	require.ErrorContains(t, err, "collect.images")
}
