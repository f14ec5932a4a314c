package takedown_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/pipeline/collector/takedown"
	"github.com/itrstream/itrstream/schemas"
)

// world is a data set with its images, and the collectors that write it, as
// far as takedowns see them.
type world struct {
	t      *testing.T
	dir    string
	folder *dataset.Folder
	images *images.Store
	later  time.Duration
	next   int // row
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	var err error
	w.folder, err = dataset.Open(t.Context(), "file://"+filepath.Join(w.dir, "dataset"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.folder.Close()) })
	b, err := bucket.Open(t.Context(), "file://"+filepath.Join(w.dir, "images"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	w.images = images.New(b, w.now)
	return w
}

func (w *world) now() time.Time { return time.Now().Add(w.later) }

// collector is one process with one partition.
type collector struct {
	*takedown.Reaper
	w       *world
	input   schemas.Partition
	chain   *dataset.Chain
	draft   *dataset.Draft
	removed []string // posts
	heard   func()   // called when rows were removed
	changed int
}

func (w *world) collector(partition int32) *collector {
	w.t.Helper()
	c := &collector{w: w, input: schemas.Partition{Topic: "collected", ID: partition}}
	var err error
	c.Reaper, err = takedown.Open(w.t.Context(), takedown.Settings{
		Folder: w.folder, Images: w.images, Alloc: memory.DefaultAllocator, Now: w.now,
		Log: slog.New(slog.DiscardHandler), Patience: takedown.Patience,
		Removed: func(rows []dataset.Row) {
			for _, r := range rows {
				c.removed = append(c.removed, r.Collected.PostID)
			}
			if c.heard != nil {
				c.heard()
			}
		},
		Changed: func(context.Context) error { c.changed++; return nil },
	})
	require.NoError(w.t, err)
	c.chain, err = w.folder.Begin(w.t.Context(), c.input, "k", 0)
	require.NoError(w.t, err)
	return c
}

func digestOf(image string) string {
	sum := sha256.Sum256([]byte(image))
	return hex.EncodeToString(sum[:])
}

// row makes a row and puts its image into the store, as the label pipeline
// does.
func (w *world) row(post, author, image string) *dataset.Row {
	w.t.Helper()
	r := &dataset.Row{Image: []byte(image)}
	w.next++
	r.Collected = schemas.Collected{
		Schema: schemas.CollectedSchema, ResultID: fmt.Sprint("result-", w.next), PostID: post, AuthorID: author, Text: "text of " + post,
		Image:    schemas.CollectedImage{Digest: digestOf(image), Bytes: int64(len(image)), MIME: "image/png"},
		Relation: "both", Selected: schemas.Selected{Reason: "rate", Probability: 1}, CollectedAt: w.now(),
	}
	require.NoError(w.t, w.images.Put(w.t.Context(), r.Collected.Image.Digest, r.Image, "image/png"))
	return r
}

// add is what a collector does with a row; false: it is refused.
func (c *collector) add(r *dataset.Row) bool {
	c.w.t.Helper()
	if c.Refuses(r) {
		return false
	}
	if c.draft == nil {
		var err error
		c.draft, err = dataset.NewDraft(memory.DefaultAllocator)
		require.NoError(c.w.t, err)
	}
	require.NoError(c.w.t, c.draft.Add(r))
	c.Hold(c.input, r)
	return true
}

// strip and append are the two halves of publishing a draft.
func (c *collector) strip() {
	c.w.t.Helper()
	var err error
	c.draft, err = c.Strip(c.w.t.Context(), c.input, c.draft)
	require.NoError(c.w.t, err)
}

func (c *collector) append() {
	c.w.t.Helper()
	e, err := c.chain.Append(c.w.t.Context(), c.draft, c.chain.End()+10, dataset.Entry{}, c.w.now())
	require.NoError(c.w.t, err)
	c.Settled(c.input, e)
	if c.draft != nil {
		require.NoError(c.w.t, c.draft.Discard())
		c.draft = nil
	}
}

func (c *collector) publish() { c.strip(); c.append() }

func (c *collector) sweep() takedown.Report {
	c.w.t.Helper()
	report, err := c.Sweep(c.w.t.Context())
	require.NoError(c.w.t, err)
	return report
}

func post(id string) *schemas.Takedown {
	return &schemas.Takedown{Schema: schemas.TakedownSchema, PostID: id}
}

func author(hash string) *schemas.Takedown {
	return &schemas.Takedown{Schema: schemas.TakedownSchema, AuthorID: hash}
}

// rows are those of the data set, post by post and image by image.
func (w *world) rows() (posts []string, shown map[string]bool) {
	w.t.Helper()
	entries, err := w.folder.Entries(w.t.Context())
	require.NoError(w.t, err)
	shown = make(map[string]bool)
	for _, e := range entries {
		if e.Shard == "" {
			continue
		}
		r, err := w.folder.Shard(w.t.Context(), e.Shard, memory.DefaultAllocator)
		require.NoError(w.t, err)
		for row, err := range r.Rows(w.t.Context()) {
			require.NoError(w.t, err)
			posts = append(posts, row.Collected.PostID)
			shown[row.Collected.Image.Digest] = true
			require.Equal(w.t, digestOf(string(row.Image)), row.Collected.Image.Digest)
		}
	}
	return posts, shown
}

func (w *world) has(image string) bool {
	w.t.Helper()
	_, err := os.Stat(filepath.Join(w.dir, "images", digestOf(image)[:2], digestOf(image)))
	require.True(w.t, err == nil || os.IsNotExist(err))
	return err == nil
}

// shards counts the Parquet files, also those that no entry names.
func (w *world) shards() int {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "dataset", "data", "*", "*"))
	require.NoError(w.t, err)
	return len(files)
}

// TestAnyOrder lets two collectors collect, take down, sweep and crash in any
// order. When all has settled nothing that was taken down is left, and nothing
// else is missing.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t)
			all := []*collector{w.collector(0), w.collector(1)}
			taken := map[string]bool{}
			along := map[string]bool{} // taken with their images
			var sent []*dataset.Row
			var want []*dataset.Row       // appended
			var waiting [2][]*dataset.Row // in drafts
			for range 40 {
				at := random.IntN(2)
				c := all[at]
				switch random.IntN(12) {
				case 0, 1, 2, 3, 4:
					r := w.row(fmt.Sprint("post-", random.IntN(12)), fmt.Sprint("author-", random.IntN(6)), fmt.Sprint("image-", random.IntN(8)))
					sent = append(sent, r)
					if c.add(r) {
						waiting[at] = append(waiting[at], r)
					}
				case 5, 6:
					var request *schemas.Takedown
					if random.IntN(3) > 0 {
						request = post(fmt.Sprint("post-", random.IntN(12)))
					} else {
						request = author(fmt.Sprint("author-", random.IntN(6)))
					}
					request.Media = random.IntN(4) == 0
					taken[request.PostID+request.AuthorID] = true
					along[request.PostID+request.AuthorID] = along[request.PostID+request.AuthorID] || request.Media
					c.Take(request)
					// What a crash before this would lose is read again.
					_, err := c.Strip(t.Context(), schemas.Partition{Topic: "collected", ID: 9}, nil)
					require.NoError(t, err)
				case 7, 8:
					c.strip()
					if random.IntN(2) == 0 { // somebody looks between the two
						all[1-at].sweep()
					}
					c.append()
					want, waiting[at] = append(want, waiting[at]...), nil
				case 9:
					c.sweep()
				case 10:
					w.later += time.Duration(random.IntN(20)) * time.Second
				case 11: // a crash
					if c.draft != nil {
						require.NoError(t, c.draft.Discard())
					}
					all[at], waiting[at] = w.collector(int32(at)), nil
				}
			}
			for at, c := range all {
				c.publish()
				want = append(want, waiting[at]...)
			}
			for range 2 { // what is found with one's images is news to the other
				for _, c := range all {
					c.sweep()
				}
				w.later += takedown.Patience
			}
			gone := map[string]bool{} // images
			for _, r := range sent {
				if c := &r.Collected; along[c.PostID] || along[c.AuthorID] {
					gone[c.Image.Digest] = true
				}
			}
			var expected []string
			for _, r := range want {
				if !taken[r.Collected.PostID] && !taken[r.Collected.AuthorID] && !gone[r.Collected.Image.Digest] {
					expected = append(expected, r.Collected.PostID)
				}
			}
			posts, _ := w.rows()
			for _, id := range posts {
				require.False(t, taken[id], "%s is taken down", id)
			}
			require.Subset(t, posts, expected, "and nothing else is missing")
			entries, err := w.folder.Entries(t.Context())
			require.NoError(t, err)
			holding := 0
			for _, e := range entries {
				if e.Shard != "" {
					holding++
				}
			}
			require.Equal(t, holding, w.shards(), "former shards are deleted")
		})
	}
}
