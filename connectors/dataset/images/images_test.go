package images_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/connectors/dataset/images"
)

// world is a store in a folder, with a clock that the test moves.
type world struct {
	*images.Store
	dir   string
	later time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	b, err := bucket.Open(t.Context(), "file://"+w.dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	w.Store = images.New(b, func() time.Time { return time.Now().Add(w.later) })
	return w
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (w *world) file(digest string) string { return filepath.Join(w.dir, digest[:2], digest) }

func TestPutGetDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := []byte("an image")
	digest := digestOf(data)

	_, err := w.Get(t.Context(), digest, 100)
	require.ErrorIs(t, err, images.ErrMissing)
	_, err = w.Age(t.Context(), digest)
	require.ErrorIs(t, err, images.ErrMissing)
	require.NoError(t, w.Delete(t.Context(), digest), "nothing to delete is no error")

	require.NoError(t, w.Put(t.Context(), digest, data, "image/png"))
	got, err := w.Get(t.Context(), digest, int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.FileExists(t, w.file(digest))
	_, err = w.Get(t.Context(), digest, int64(len(data))-1)
	require.ErrorIs(t, err, images.ErrCorrupt)

	// A process died while it wrote the same image.
	left := w.file(digest) + ".18a0.tmp"
	require.NoError(t, os.WriteFile(left, data[:3], 0o600))
	other := digest[:63] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", digest[63])+1)%16])
	require.NoError(t, os.WriteFile(w.file(other), []byte("another"), 0o600))
	require.NoError(t, w.Delete(t.Context(), digest))
	require.NoFileExists(t, w.file(digest))
	require.NoFileExists(t, left)
	require.FileExists(t, w.file(other))
	_, err = w.Get(t.Context(), other, 100)
	require.ErrorIs(t, err, images.ErrCorrupt, "these bytes are not those of the digest")
}

// What is there is not written again, unless it is so old that somebody may
// be deleting it.
func TestPutOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := []byte("an image")
	digest := digestOf(data)
	require.NoError(t, w.Put(t.Context(), digest, data, "image/png"))
	first, err := os.Stat(w.file(digest))
	require.NoError(t, err)

	require.NoError(t, w.Put(t.Context(), digest, data, "image/png"))
	second, err := os.Stat(w.file(digest))
	require.NoError(t, err)
	require.True(t, os.SameFile(first, second), "young: not written again")

	w.later = images.Fresh + time.Second
	require.NoError(t, w.Put(t.Context(), digest, data, "image/png"))
	third, err := os.Stat(w.file(digest))
	require.NoError(t, err)
	require.False(t, os.SameFile(first, third), "old: written again")
	require.Greater(t, images.Grace, images.Fresh)

	w.later = 0
	age, err := w.Age(t.Context(), digest)
	require.NoError(t, err)
	require.Less(t, age, images.Fresh)
	require.NoError(t, os.WriteFile(w.file(digest), data[:2], 0o600))
	require.NoError(t, w.Put(t.Context(), digest, data, "image/png"))
	_, err = w.Get(t.Context(), digest, 100)
	require.NoError(t, err, "a torn file is written again")
}

// Several delete and put at once, as takedowns and workers do: nobody fails
// because a file went under his hands.
func TestDeleteAmongOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for i := range 40 {
				data := []byte{byte(i % 5)}
				digest := digestOf(data)
				assert.NoError(t, w.Put(t.Context(), digest, data, "image/png"))
				assert.NoError(t, w.Delete(t.Context(), digest))
			}
		})
	}
	group.Wait()
	for i := range 5 {
		_, err := w.Get(t.Context(), digestOf([]byte{byte(i)}), 10)
		require.ErrorIs(t, err, images.ErrMissing)
	}
}

func TestDigestsAreNoPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := digestOf(nil)
	for _, digest := range []string{"", "../../etc/passwd", good[:62], good + "00", strings.ToUpper(good), "zz" + good[2:]} {
		_, err := images.Key(digest)
		require.ErrorContains(t, err, "no SHA-256", digest)
		require.Error(t, w.Put(t.Context(), digest, nil, ""), digest)
		require.Error(t, w.Delete(t.Context(), digest), digest)
		_, err = w.Get(t.Context(), digest, 1)
		require.Error(t, err, digest)
		_, err = w.Age(t.Context(), digest)
		require.Error(t, err, digest)
	}
}
