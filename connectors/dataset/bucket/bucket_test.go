package bucket_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
)

func open(t *testing.T, dir string) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+filepath.ToSlash(dir))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"file:///var/lib/images":                   "",
		"s3://images?region=eu-central-1&prefix=a": "",
		"gs://images":                              "",
		"azblob://images/":                         "",
		"":                                         "must begin with file:///",
		"/var/lib/images":                          "must begin with file:///",
		"mem://":                                   "must begin with file:///",
		"http://images":                            "must begin with file:///",
		"file://var/images":                        "absolute folder",
		"file:images":                              "absolute folder",
		"file:///images?metadata=":                 "without parameters",
		"s3://":                                    "must name a bucket",
		"s3://images/train":                        "?prefix=train/",
		"s3://me:secret@images":                    "credentials",
		"s3://%zz":                                 "no URL",
	} {
		err := bucket.Check(address)
		if want == "" {
			require.NoError(t, err, address)
			continue
		}
		require.ErrorContains(t, err, want, address)
		require.NotContains(t, err.Error(), "secret")
		_, err = bucket.Open(t.Context(), address)
		require.ErrorContains(t, err, want, address)
	}
}

// What opens must not ask anybody anything: a store that is away is no reason
// not to start.
func TestOpeningAsksNobody(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	b, err := bucket.Open(t.Context(), "s3://nowhere?region=eu-central-1&endpoint=http://127.0.0.1:1&use_path_style=true")
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

func TestFoldersHoldNothingButWhatWasWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "when missing")
	b := open(t, dir)
	require.NoError(t, b.WriteAll(t.Context(), "ab/one", []byte("1"), nil))
	require.NoError(t, b.Create(t.Context(), "ab/cd/two", []byte("2")))
	require.NoError(t, b.Sync("ab/one"))
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	}))
	require.Equal(t, []string{"/ab/cd/two", "/ab/one"}, files)
	got, err := b.ReadAll(t.Context(), "ab/cd/two")
	require.NoError(t, err)
	require.Equal(t, "2", string(got), "the library finds what Create wrote")
	_, err = b.ReadAll(t.Context(), "ab/none")
	require.True(t, bucket.IsNotExist(err), err)

	one, err := os.Stat(filepath.Join(dir, "ab", "one"))
	require.NoError(t, err)
	two, err := os.Stat(filepath.Join(dir, "ab", "cd", "two"))
	require.NoError(t, err)
	require.Equal(t, one.Mode(), two.Mode())
}

// Many create the same keys at once, through buckets of their own, as several
// processes would. Each key has one winner, and holds what he wrote.
func TestCreateHasOneWinner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const writers, keys = 8, 20
	var winners [keys]atomic.Int32
	var group sync.WaitGroup
	for w := range writers {
		b := open(t, dir)
		group.Go(func() {
			for k := range keys {
				content := bytes.Repeat([]byte{byte(w)}, 10_000)
				err := b.Create(t.Context(), fmt.Sprintf("log/%d.json", k), content)
				if err == nil {
					if !winners[k].CompareAndSwap(0, int32(w)+1) {
						t.Errorf("key %d has two winners", k)
					}
				} else if !strings.Contains(err.Error(), bucket.ErrExists.Error()) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	b := open(t, dir)
	for k := range keys {
		got, err := b.ReadAll(t.Context(), fmt.Sprintf("log/%d.json", k))
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{byte(winners[k].Load() - 1)}, 10_000), got)
	}
	require.ErrorIs(t, b.Create(t.Context(), "log/0.json", nil), bucket.ErrExists)
	left, err := filepath.Glob(filepath.Join(dir, "log", "*.tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestKeysStayInside(t *testing.T) {
	t.Parallel()
	b := open(t, filepath.Join(t.TempDir(), "inside"))
	for _, key := range []string{"../out", "a/../../out", "/out", "", ".", "a//b", "a/", "a\nb"} {
		require.ErrorContains(t, b.Create(t.Context(), key, []byte("x")), "is no key", key)
		require.ErrorContains(t, b.Sync(key), "is no key", key)
	}
}

func TestLeftover(t *testing.T) {
	t.Parallel()
	require.True(t, bucket.Leftover("data/day=2026-11-23/posts-0.parquet.18a0.tmp"))
	require.False(t, bucket.Leftover("data/day=2026-11-23/posts-0.parquet"))
}
