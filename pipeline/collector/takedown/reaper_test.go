package takedown_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/pipeline/collector/takedown"
	"github.com/itrstream/itrstream/stages"
)

// TestPostAndAuthor takes rows out of a shard that is written and of one that
// is not, and refuses those that come later.
func TestPostAndAuthor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	for _, id := range []string{"a", "b", "c"} {
		require.True(t, c.add(w.row(id, "author of "+id, "image of "+id)))
	}
	c.publish()
	require.True(t, c.add(w.row("a", "author of a", "another of a")))
	require.True(t, c.add(w.row("d", "author of b", "image of d")))
	require.True(t, c.add(w.row("e", "author of e", "image of e")))

	c.Take(post("a"))
	c.Take(author("author of b"))
	report := c.sweep()
	assert.Len(t, report.Rows, 2)
	assert.Len(t, report.Shards, 1)
	assert.Nil(t, report.Rows[0].Image)
	assert.Empty(t, report.Images)
	assert.ElementsMatch(t, []string{digestOf("image of a"), digestOf("image of b")}, report.Waiting, "they were put a moment ago")
	assert.Equal(t, 1, c.changed)
	posts, _ := w.rows()
	assert.Equal(t, []string{"c"}, posts)
	assert.Equal(t, 1, w.shards())
	assert.False(t, c.add(w.row("a", "", "image of a")), "it comes again")
	assert.False(t, c.add(w.row("f", "author of b", "image of b")))

	c.publish()
	posts, _ = w.rows()
	assert.Equal(t, []string{"c", "e"}, posts)
	assert.ElementsMatch(t, []string{"a", "b", "a", "d"}, c.removed)
	w.later += images.Grace
	report = c.sweep()
	assert.Empty(t, report.Rows)
	assert.Empty(t, report.Waiting)
	assert.Len(t, report.Images, 4)
	for image, stays := range map[string]bool{
		"image of a": false, "image of b": false, "another of a": false, "image of d": false, "image of c": true, "image of e": true,
	} {
		assert.Equal(t, stays, w.has(image), image)
	}

	again := w.collector(0)
	assert.False(t, again.add(w.row("a", "", "image of a")), "the set outlives the process")
	report = again.sweep()
	assert.Empty(t, report.Rows)
	assert.Zero(t, again.changed)
}

// TestImageGoesWithItsLastRow wherever the rows are, unless it is taken along.
func TestImageGoesWithItsLastRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.collector(0), w.collector(1)
	require.True(t, c.add(w.row("a", "", "shared")))
	require.True(t, c.add(w.row("b", "", "shared")))
	c.publish()
	require.True(t, other.add(w.row("c", "", "shared")))
	other.publish()
	require.True(t, c.add(w.row("d", "", "shared")))
	w.later += 2 * images.Grace

	for _, id := range []string{"a", "b", "c"} {
		c.Take(post(id))
		report := c.sweep()
		assert.Len(t, report.Rows, 1, id)
		assert.Empty(t, report.Images)
		assert.Empty(t, report.Waiting)
		require.True(t, w.has("shared"), "%s was not the last", id)
	}
	c.Take(post("d")) // in a draft
	c.publish()
	assert.Equal(t, []string{digestOf("shared")}, c.sweep().Images)
	require.False(t, w.has("shared"))
}

// TestMedia takes an image along wherever it is, now and later.
func TestMedia(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.collector(0), w.collector(1)
	require.True(t, c.add(w.row("a", "", "shared")))
	c.publish()
	require.True(t, other.add(w.row("b", "", "shared")))
	require.True(t, other.add(w.row("c", "", "its own")))
	other.publish()
	require.True(t, other.add(w.row("d", "", "shared")))

	request := post("a")
	request.Media = true
	c.Take(request)
	report := c.sweep()
	assert.Len(t, report.Rows, 2)
	assert.Len(t, report.Shards, 2)
	assert.Equal(t, []string{digestOf("shared")}, report.Images, "at once, though it was put a moment ago")
	posts, _ := w.rows()
	assert.Equal(t, []string{"c"}, posts)
	other.publish()
	posts, _ = w.rows()
	assert.Equal(t, []string{"c"}, posts, "what waited in a draft goes, too")

	assert.False(t, c.add(w.row("e", "", "shared")))
	require.True(t, w.has("shared"), "the label pipeline has put it again")
	assert.Equal(t, []string{digestOf("shared")}, c.sweep().Images)
	require.False(t, w.has("shared"))
	assert.False(t, c.add(w.row("a", "", "another")), "a post that comes again with another image")
	assert.Equal(t, []string{digestOf("another")}, c.sweep().Images)
	assert.False(t, c.add(w.row("f", "", "another")))
}

// TestRowsThatNeverWere let go of their images.
func TestRowsThatNeverWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "kept")))
	near, twice := w.row("b", "", "nearly"), w.row("c", "", "kept")
	c.Loose(near.Collected.Image.Digest)
	c.Loose(twice.Collected.Image.Digest)
	w.later += images.Grace
	assert.Equal(t, []string{digestOf("nearly")}, c.sweep().Images)
	require.True(t, w.has("kept"), "a draft refers to it")

	c.Dropped(c.input)
	c.Loose(twice.Collected.Image.Digest)
	assert.Equal(t, []string{digestOf("kept")}, c.sweep().Images)
}

// TestOthers leaves what others take down to them for a while, and does it when
// they don't.
func TestOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, dead := w.collector(0), w.collector(1)
	require.True(t, c.add(w.row("a", "", "x")))
	c.publish()
	c.sweep()
	dead.Take(post("a"))
	_, err := dead.Strip(t.Context(), dead.input, nil) // and dies
	require.NoError(t, err)
	assert.Empty(t, c.sweep().Rows)
	assert.False(t, c.add(w.row("a", "", "x")), "refused at once")
	w.later += takedown.Patience
	assert.Len(t, c.sweep().Rows, 1)
}

// TestNewcomer finds what was taken down and not taken out by those before.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "x")))
	c.publish()
	c.Take(post("a"))
	_, err := c.Strip(t.Context(), c.input, nil)
	require.NoError(t, err)
	assert.Len(t, w.collector(0).sweep().Rows, 1)
	posts, _ := w.rows()
	assert.Empty(t, posts)
	assert.Zero(t, w.shards(), "a shard without rows is none")
}

// TestRunGoesOn while the data set is away, and stops when told.
func TestRunGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "x")))
	c.publish()
	c.Take(post("a"))
	w.rows() // makes the decoder that all tests share, which must not be the bubble's
	away := filepath.Join(w.dir, "dataset")
	require.NoError(t, os.Rename(away, away+".away"))
	require.NoError(t, os.WriteFile(away, nil, 0o600)) // a folder that is none
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(time.Minute)
		require.NoError(t, os.Remove(away))
		require.NoError(t, os.Rename(away+".away", away))
		time.Sleep(time.Minute)
		stop()
		require.NoError(t, <-done)
	})
	posts, _ := w.rows()
	assert.Empty(t, posts)
}

// TestImageStoreAway waits for the image store, and does not end the process.
func TestImageStoreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "x")))
	c.publish()
	w.later += images.Grace
	c.Take(post("a"))
	away := filepath.Join(w.dir, "images")
	require.NoError(t, os.Rename(away, away+".away"))
	require.NoError(t, os.WriteFile(away, nil, 0o600)) // a folder that is none
	report, err := c.Sweep(t.Context())
	require.True(t, stages.IsTransient(err), "%v", err)
	assert.Len(t, report.Rows, 1)
	require.NoError(t, os.Remove(away))
	require.NoError(t, os.Rename(away+".away", away))
	assert.Equal(t, []string{digestOf("x")}, c.sweep().Images)
}

// TestShardWrittenDuringALook keeps its images: the look has not met it, and
// nobody waits with it any more.
func TestShardWrittenDuringALook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "shared")))
	c.publish()
	require.True(t, c.add(w.row("b", "", "shared")))
	w.later += 2 * images.Grace
	c.Take(post("a"))
	c.heard = c.publish
	report := c.sweep()
	assert.Len(t, report.Rows, 1)
	assert.Empty(t, report.Images)
	require.True(t, w.has("shared"), "b refers to it")
}

// TestFormerShardThatStays while its entry is replaced already: it goes later,
// and what its rows referred to goes as well.
func TestFormerShardThatStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "x")))
	require.True(t, c.add(w.row("b", "", "y")))
	c.publish()
	c.sweep()
	files, err := filepath.Glob(filepath.Join(w.dir, "dataset", "data", "*", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	w.later += images.Grace
	c.Take(post("a"))
	report, err := c.Sweep(stages.WithCrashes(t.Context(), func(at stages.CrashPoint) {
		if at == dataset.BeforeRemove { // a folder that is not empty cannot be removed
			assert.NoError(t, os.Rename(files[0], files[0]+".aside"))
			assert.NoError(t, os.MkdirAll(filepath.Join(files[0], "in"), 0o700))
		}
	}))
	require.True(t, stages.IsTransient(err), "%v", err)
	assert.Len(t, report.Rows, 1)
	assert.Equal(t, []string{"a"}, c.removed)
	require.NoError(t, os.RemoveAll(files[0]))
	require.NoError(t, os.Rename(files[0]+".aside", files[0]))

	assert.Equal(t, []string{digestOf("x")}, c.sweep().Images)
	assert.NoFileExists(t, files[0])
	assert.Equal(t, 1, w.shards())
}

// TestAfterADeath removes what a process left that was killed in the middle of
// a rewrite, although the partition is another's.
func TestAfterADeath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.collector(0)
	require.True(t, c.add(w.row("a", "", "x")))
	c.publish()
	files, err := filepath.Glob(filepath.Join(w.dir, "dataset", "data", "*", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	former, err := os.ReadFile(files[0])
	require.NoError(t, err)
	c.Take(post("a"))
	c.sweep()
	require.NoError(t, os.WriteFile(files[0], former, 0o600)) // it died before it removed this
	w.collector(1).sweep()
	assert.NoFileExists(t, files[0])
}
