package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	tinyBundle = "testdata/tiny-bundle"
	miniBundle = "bundles/itr-mini"
)

func openBundle(t testing.TB, dir string) *Model {
	t.Helper()
	m, err := Open(dir, Options{Device: "cpu"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// TestGolden replays what each bundle was made with: ids and pixels must be
// equal, numbers close.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{tinyBundle, miniBundle} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			got, err := openBundle(t, dir).Verify(t.Context(), dir)
			require.NoError(t, err)
			require.True(t, got.OK, "%+v", got)
			require.Positive(t, got.Posts)
			require.Len(t, got.Differences, 7)
		})
	}
}

// TestVerifySeesDifferences changes one golden value at a time.
func TestVerifySeesDifferences(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	data, err := os.ReadFile(filepath.Join(tinyBundle, GoldenFile))
	require.NoError(t, err)
	for name, change := range map[string]func(*golden){
		"token ids":  func(g *golden) { g.InputIDs[1]++ },
		"pixels":     func(g *golden) { g.PixelsSHA256 = strings.Repeat("0", 64) },
		"text":       func(g *golden) { g.Text8[0] += 0.01 },
		"image":      func(g *golden) { g.Image8[0] += 0.01 },
		"logits":     func(g *golden) { g.Logits[3] += 0.01 },
		"similarity": func(g *golden) { g.Similarity += 0.01 },
		"embedding":  func(g *golden) { g.Embedding8[0] += 0.01 },
		"cam":        func(g *golden) { g.CAM8[0] += 0.01 },
		"cam sums":   func(g *golden) { g.CAMSums[0] += 0.01 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(tinyBundle)))
			var posts []golden
			require.NoError(t, json.Unmarshal(data, &posts))
			change(&posts[0])
			changed, err := json.Marshal(posts)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, GoldenFile), changed, 0o600))
			got, err := m.Verify(t.Context(), dir)
			require.NoError(t, err)
			require.False(t, got.OK, "%+v", got)
		})
	}
}
