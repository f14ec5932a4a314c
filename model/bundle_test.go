package model

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// copyTiny copies the tiny bundle to a folder that the test may damage.
func copyTiny(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(tinyBundle)))
	return dir
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(data), 0o600))
}

func flipLastBit(data []byte) []byte {
	data[len(data)-1] ^= 1
	return data
}

// TestDamagedBundle: every file that is not what the manifest says is named,
// with what was expected and what was found.
func TestDamagedBundle(t *testing.T) {
	t.Parallel()
	dir := copyTiny(t)
	edit(t, filepath.Join(dir, "text.onnx"), flipLastBit)
	edit(t, filepath.Join(dir, "golden.json"), flipLastBit)
	require.NoError(t, os.Remove(filepath.Join(dir, "head.onnx")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "golden", "stray.txt"), nil, 0o600))

	_, err := Open(dir, Options{Device: "cpu"})
	good, parseErr := ParseManifest([]byte(tinyManifest(t)))
	require.NoError(t, parseErr)
	for _, want := range []string{
		dir,
		"head.onnx is missing",
		"golden/stray.txt is not listed",
		"the manifest says " + good.Files["text.onnx"],
		"the manifest says " + good.Files["golden.json"],
	} {
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, 2, strings.Count(err.Error(), "has SHA-256"))
	require.NotContains(t, err.Error(), "vocab.txt")
}

func TestNoBundle(t *testing.T) {
	t.Parallel()
	_, err := Open(filepath.Join(t.TempDir(), "nowhere"), Options{Device: "cpu"})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(t.TempDir(), Options{Device: "cpu"})
	require.ErrorContains(t, err, "is no bundle: it has no bundle.yaml")

	dir := copyTiny(t)
	edit(t, filepath.Join(dir, ManifestFile), func(data []byte) []byte {
		return bytes.Replace(data, []byte("format: 1"), []byte("format: 9"), 1)
	})
	_, err = Open(dir, Options{Device: "cpu"})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "format: 9")
}

// TestFilesOutsideTheBundle: a link out of the folder is not followed.
func TestFilesOutsideTheBundle(t *testing.T) {
	t.Parallel()
	dir, outside := copyTiny(t), filepath.Join(t.TempDir(), "vocab.txt")
	inside := filepath.Join(dir, "vocab.txt")
	require.NoError(t, os.Rename(inside, outside))
	require.NoError(t, os.Symlink(outside, inside))
	_, err := Open(dir, Options{Device: "cpu"})
	require.ErrorContains(t, err, "vocab.txt cannot be read")
}

// rewrite changes files of a bundle and signs it anew, as one who made it
// wrongly would.
func rewrite(t *testing.T, dir string, manifest *strings.Replacer, files map[string][]byte) {
	t.Helper()
	old, err := ParseManifest([]byte(tinyManifest(t)))
	require.NoError(t, err)
	edit(t, filepath.Join(dir, ManifestFile), func(data []byte) []byte {
		text := manifest.Replace(string(data))
		for name, content := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
			text = strings.ReplaceAll(text, old.Files[name], hexDigest(content))
		}
		return []byte(text)
	})
}

// TestBundleThatDoesNotFit: widths, graphs and vocabulary are tried when the
// bundle is opened, not on the first post.
func TestBundleThatDoesNotFit(t *testing.T) {
	t.Parallel()
	head, err := os.ReadFile(filepath.Join(tinyBundle, "head.onnx"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		manifest []string
		files    map[string][]byte
		want     string
	}{
		"text width":   {manifest: []string{"width: 7", "width: 8"}, want: "text.onnx"},
		"image width":  {manifest: []string{"width: 5", "width: 4"}, want: "image.onnx"},
		"image height": {manifest: []string{"height: 6", "height: 7"}, want: "image.onnx"},
		"embedding":    {manifest: []string{"embedding: 12", "embedding: 13"}, want: "head.onnx"},
		"map height":   {manifest: []string{"height: 2", "height: 3"}, want: "explain.onnx"},
		"another graph": {
			files: map[string][]byte{"image.onnx": head},
			want:  "image.onnx",
		},
		"no graph": {
			files: map[string][]byte{"text.onnx": []byte("text")},
			want:  "text.onnx cannot be loaded",
		},
		"no vocabulary": {
			files: map[string][]byte{"vocab.txt": []byte("a\nb\n")},
			want:  "vocab.txt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyTiny(t)
			rewrite(t, dir, strings.NewReplacer(c.manifest...), c.files)
			_, err := Open(dir, Options{Device: "cpu"})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, dir)
		})
	}
}

// TestLocateLooksBesideTheExecutable puts a bundle where the test's own binary
// is; the working folder comes first.
func TestLocateLooksBesideTheExecutable(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	require.NoError(t, err)
	beside, err := os.MkdirTemp(filepath.Dir(executable), "bundle") //nolint:usetesting // beside the executable is the point
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(beside)) })
	require.Equal(t, beside, locate(filepath.Base(beside)))
	require.Equal(t, "testdata", locate("testdata"))
	require.Equal(t, "nowhere", locate("nowhere"))
}
