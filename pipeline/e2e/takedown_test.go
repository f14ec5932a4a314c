package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/erasure"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

// erasing is a running system with everything that keeps posts.
type erasing struct {
	t    *testing.T
	s    services
	cfg  config.Config
	key  *schemas.AuthorKey
	dir  string
	kgo  *kgo.Client
	rows int // that the data set should have
}

func (e *erasing) settings() pipeline.Settings {
	return pipeline.Settings{Log: slog.New(slog.DiscardHandler), Now: time.Now, Alloc: memory.DefaultAllocator}
}

// picture is an image of its own for each seed.
func picture(t *testing.T, seed uint64) (data []byte, digest string) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 8))
	img := image.NewNRGBA(image.Rect(0, 0, 24, 24))
	for x := range 24 {
		for y := range 24 {
			img.SetNRGBA(x, y, color.NRGBA{R: uint8(random.Uint32()), G: uint8(10 * x), B: uint8(10 * y), A: 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:])
}

// send posts, each with one image.
func (e *erasing) send(id, author string, seed uint64) (digest string) {
	e.t.Helper()
	data, digest := picture(e.t, seed)
	e.produce(schemas.Post{Schema: schemas.PostSchema, PostID: id, AuthorID: author, Text: "the text of " + id, Media: []schemas.Media{{Data: data}}})
	return digest
}

func (e *erasing) produce(post schemas.Post) {
	e.t.Helper()
	value, err := json.Marshal(post)
	require.NoError(e.t, err)
	require.NoError(e.t, e.kgo.ProduceSync(e.t.Context(), &kgo.Record{Topic: "posts", Key: []byte(post.PostID), Value: value}).FirstErr())
}

func (e *erasing) remove(id string) {
	e.t.Helper()
	e.produce(schemas.Post{Schema: schemas.PostSchema, Op: schemas.OpDelete, PostID: id})
}

// all rows of the data set, decoded.
func (e *erasing) all() (rows []dataset.Row) {
	e.t.Helper()
	for again := true; again; {
		rows, again = nil, false
		folder, err := dataset.Open(e.t.Context(), e.cfg.Collect.Dataset)
		require.NoError(e.t, err)
		entries, err := folder.Entries(e.t.Context())
		require.NoError(e.t, err)
		for _, entry := range entries {
			if entry.Shard == "" {
				continue
			}
			shard, err := folder.Shard(e.t.Context(), entry.Shard, memory.DefaultAllocator)
			if dataset.IsNotExist(err) {
				again = true // it has just been rewritten
				continue
			}
			require.NoError(e.t, err)
			for row, err := range shard.Rows(e.t.Context()) {
				require.NoError(e.t, err)
				rows = append(rows, row)
			}
		}
		require.NoError(e.t, folder.Close())
	}
	return rows
}

// until polls.
func (e *erasing) until(what string, within time.Duration, done func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(within); !done(); time.Sleep(300 * time.Millisecond) {
		require.True(e.t, time.Now().Before(deadline), "%s", what)
	}
}

// everything is all that is kept, readable: each file as it is, and decoded
// where it is compressed, with the digests of images, and each key of Redis.
func (e *erasing) everything() map[string]string {
	e.t.Helper()
	found := map[string]string{"redis": redisDump(e.t, e.s.redis)}
	require.NoError(e.t, filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // removed meanwhile
		}
		require.NoError(e.t, err)
		sum := sha256.Sum256(data)
		found[path] = fmt.Sprintf("%s %x\n%s", path, sum, data)
		switch filepath.Ext(path) {
		case ".parquet":
			found[path] += rowsOf(e.t, data)
		case ".centroids":
			found[path] += snapshotOf(e.t, data)
		}
		return nil
	}))
	return found
}

func rowsOf(t *testing.T, shard []byte) string {
	t.Helper()
	r, err := dataset.NewReader(bytes.NewReader(shard), memory.DefaultAllocator)
	require.NoError(t, err)
	var out strings.Builder
	for row, err := range r.Rows(t.Context()) {
		require.NoError(t, err)
		text, err := json.Marshal(row.Collected)
		require.NoError(t, err)
		fmt.Fprintf(&out, "%s %x\n", text, sha256.Sum256(row.Image))
	}
	return out.String()
}

func snapshotOf(t *testing.T, file []byte) string {
	t.Helper()
	_, snap, err := cluster.ReadSnapshot(bytes.NewReader(file))
	require.NoError(t, err)
	var out strings.Builder
	for id, row := range snap.Rows {
		fmt.Fprintf(&out, "%s %s\n", id, row)
	}
	for _, slot := range snap.Slots {
		fmt.Fprintf(&out, "%s\n", slot)
	}
	for _, p := range snap.Partitions {
		fmt.Fprintf(&out, "%s\n", p.Last.Record)
	}
	return out.String()
}

// traces says where something is found.
func (e *erasing) traces(of ...string) (where []string) {
	e.t.Helper()
	for place, text := range e.everything() {
		for _, what := range of {
			if strings.Contains(text, what) {
				where = append(where, what+" in "+place)
			}
		}
	}
	slices.Sort(where)
	return where
}

// take calls the command.
func (e *erasing) take(o erasure.Options) (*erasure.Receipt, error) {
	command, err := erasure.Open(e.t.Context(), e.cfg, o, e.settings())
	if err != nil {
		return nil, err
	}
	defer func() { _ = command.Close() }()
	return command.Execute(e.t.Context())
}

func erasingSystem(t *testing.T, s services) *erasing {
	t.Helper()
	const secret = "0123456789abcdef0123456789abcdef"
	key, err := schemas.NewAuthorKey(secret)
	require.NoError(t, err)
	e := &erasing{t: t, s: s, key: key, dir: t.TempDir(), kgo: client(t, s)}
	e.cfg = configure(t, s, tinyBundle, "privacy.authors=hash", "privacy.author_key="+secret,
		"collect.images=file://"+filepath.Join(e.dir, "images"), "collect.dataset=file://"+filepath.Join(e.dir, "dataset"), "collect.rate=1",
		"collect.shard_every=2s", "collect.duplicates.capacity=0", "cluster.snapshots.dir="+filepath.Join(e.dir, "snapshots"), "cluster.snapshots.every=1s")
	makeTopics(t, e.cfg)
	w := start(t, e.cfg)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- collector.Run(ctx, e.cfg, collector.Settings{
			Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Now: time.Now, Alloc: memory.DefaultAllocator,
		})
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
		w.end(t)
	})
	return e
}

// TestTakedown deletes posts by an event, a command, and with their author, in
// a running system, and searches everything that it keeps within the 60 seconds
// that a takedown has.
func TestTakedown(t *testing.T) {
	takingDown(t, embeddedServices(t))
}

// TestRealTakedown is TestTakedown on real servers.
func TestRealTakedown(t *testing.T) { takingDown(t, realServices(t)) }

func takingDown(t *testing.T, s services) {
	t.Helper()
	e := erasingSystem(t, s)
	digests, authors := map[string]string{}, map[string]string{}
	send := func(id, author string, seed uint64) {
		digests[id], authors[id] = e.send(id, author, seed), author
		e.rows++
	}
	for i := range uint64(120) {
		send(fmt.Sprintf("marker-%04d-end", i), fmt.Sprintf("author-%02d-end", i%40), i)
	}
	send("shared-a-end", "x", 1000)
	send("shared-b-end", "y", 1000)
	send("media-a-end", "x", 2000)
	send("media-b-end", "y", 2000)
	e.until("all rows come", 2*patience, func() bool { return len(e.all()) == e.rows })

	// Those that centroids name, too.
	var named []string
	for id, author := range authors {
		if strings.HasPrefix(id, "marker-") && !slices.ContainsFunc(named, func(n string) bool { return authors[n] == author }) &&
			len(e.traces(id)) > 1 && strings.Contains(redisDump(t, s.redis), id) {
			named = append(named, id)
		}
		if len(named) == 3 {
			break
		}
	}
	require.Len(t, named, 3)
	deleted, subject, author := named[0], named[1], authors[named[2]]
	gone := []string{deleted, digests[deleted], subject, digests[subject], e.key.Hash(author), "shared-a-end", "media-a-end", "media-b-end", digests["media-a-end"]}
	out := 1 + 1 + 1 + 2
	for id := range authors {
		if authors[id] == author {
			gone, out = append(gone, id, digests[id]), out+1
		}
	}
	for _, what := range gone {
		require.NotEmpty(t, e.traces(what), "who finds nothing now proves nothing: %s", what)
	}
	require.Contains(t, fmt.Sprint(e.traces(deleted)), "redis")

	began := time.Now()
	e.remove(deleted)
	e.remove("shared-a-end")
	var g errgroup.Group
	receipts := make([]*erasure.Receipt, 3)
	for i, o := range []erasure.Options{{Subject: subject, Reason: "a test"}, {Author: author}, {Subject: "media-a-end", Media: true}} {
		g.Go(func() (err error) { receipts[i], err = e.take(o); return err })
	}
	var left []string
	failed := make(chan error, 1)
	go func() { failed <- g.Wait() }()
	for deadline := began.Add(time.Minute); ; time.Sleep(300 * time.Millisecond) {
		if left = e.traces(gone...); len(left) == 0 {
			break
		}
		select {
		case err := <-failed:
			require.NoError(t, err)
			failed <- nil
		default:
		}
		require.True(t, time.Now().Before(deadline), "after a minute: %s", strings.Join(left, "\n"))
	}
	t.Logf("gone after %s", time.Since(began).Round(100*time.Millisecond))
	require.NoError(t, <-failed)
	require.Empty(t, e.traces(gone...))
	require.Len(t, e.all(), e.rows-out, "nothing else is gone")
	require.NotEmpty(t, e.traces(digests["shared-b-end"]), "the image stays with its other post")
	for i, r := range receipts {
		require.True(t, r.Executed)
		require.Empty(t, r.Named, "receipt %d", i)
		require.Empty(t, r.Waiting)
		require.Contains(t, fmt.Sprint(r.Remains), "{topic results results, with the posts' text 7 days after")
	}
	require.Equal(t, []string{subject}, receipts[0].Deletes)
	require.Len(t, receipts[1].Deletes, out-5)

	// What comes later does not come in.
	again := e.send(deleted, "z", 3000)
	of := e.send("another-of-the-author", author, 4000)
	e.send("another-with-the-image", "z", 2000)
	digests["sentinel"] = e.send("sentinel", "z", 5000)
	for i := range 12 { // one a partition at least
		e.send(fmt.Sprintf("sentinel-%d", i), "z", 6000+uint64(i))
	}
	e.until("those behind them come", patience, func() bool { return len(e.all()) == e.rows-out+13 })
	refused := []string{again, "another-of-the-author", of, e.key.Hash(author), "another-with-the-image", digests["media-a-end"]}
	e.remove("another-of-the-author") // centroids may name him
	e.remove("another-with-the-image")
	e.remove("shared-b-end")
	e.until("what was refused leaves no image", time.Minute, func() bool {
		left = e.traces(append(refused, "shared-b-end", digests["shared-b-end"])...)
		return len(left) == 0
	})
	for _, row := range e.all() {
		require.NotEqual(t, deleted, row.Collected.PostID)
	}
}
