package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// twins are tiny bundles as python -m itr export makes them; their golden posts
// are what Hugging Face and PyTorch make of them, not the graphs.
var twins = []string{"testdata/twins/bertweet-vit", "testdata/twins/roberta-resnet", "testdata/twins/clip"}

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
			require.Nil(t, got.PixelErrors)
		})
	}
}

// TestParity is make parity in small: from the bytes of posts to every number,
// Go and ONNX Runtime equal Hugging Face and PyTorch.
func TestParity(t *testing.T) {
	t.Parallel()
	for _, dir := range twins {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			got, err := openBundle(t, dir).Verify(t.Context(), dir)
			require.NoError(t, err)
			require.Equal(t, 12, got.Posts)
			require.Equal(t, got.Posts, got.EqualIDs)
			require.Equal(t, got.Posts, got.EqualPixels)
			require.Equal(t, &PixelErrors{}, got.PixelErrors)
			require.Len(t, got.Absolute, 7)
			for what, difference := range got.Absolute {
				require.Less(t, difference, 1e-4, what)
			}
		})
	}
}

// replaced returns what Verify says after text was replaced in the manifest.
func replaced(t *testing.T, dir, old, by string) Replay {
	t.Helper()
	changed := t.TempDir()
	require.NoError(t, os.CopyFS(changed, os.DirFS(dir)))
	edit(t, filepath.Join(changed, ManifestFile), func(data []byte) []byte {
		require.Contains(t, string(data), old)
		return []byte(strings.ReplaceAll(string(data), old, by))
	})
	got, err := openBundle(t, changed).Verify(t.Context(), dir)
	require.NoError(t, err)
	return got
}

// TestParitySeesWrongSteps takes one wrong step on the way from bytes to
// numbers at a time.
func TestParitySeesWrongSteps(t *testing.T) {
	t.Parallel()
	bertweet, roberta, clip := twins[0], twins[1], twins[2]
	for name, test := range map[string]struct {
		dir, old, by string
		ids, pixels  bool // what stays equal
	}{
		"texts cut one token early": {bertweet, "max_tokens: 24", "max_tokens: 23", false, true},
		"turned by EXIF":            {roberta, "exif: ignore", "exif: apply", true, false},
		"another filter":            {roberta, "resize: bicubic", "resize: bilinear", true, false},
		"another edge":              {clip, "shortest_edge: 224", "shortest_edge: 225", true, false},
		"squashed":                  {clip, "fit: crop_centre\n  shortest_edge: 224", "fit: squash", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := replaced(t, test.dir, test.old, test.by)
			require.False(t, got.OK)
			require.Equal(t, test.ids, got.EqualIDs == got.Posts)
			require.Equal(t, test.pixels, got.EqualPixels == got.Posts)
			require.Equal(t, test.pixels, *got.PixelErrors == PixelErrors{})
			require.Equal(t, test.ids, got.Absolute["text"] < 1e-4)
			require.Less(t, got.Absolute["image"], 1e-4, "numbers are measured on the pixels of the reference")
		})
	}
}

// TestVerifySeesDifferences changes one golden value at a time.
func TestVerifySeesDifferences(t *testing.T) {
	t.Parallel()
	tiny, twin := openBundle(t, tinyBundle), openBundle(t, twins[0])
	for name, test := range map[string]struct {
		m      *Model
		dir    string
		change func(*golden)
	}{
		"token ids":         {tiny, tinyBundle, func(g *golden) { g.InputIDs[1]++ }},
		"pixels":            {tiny, tinyBundle, func(g *golden) { g.PixelsSHA256 = strings.Repeat("0", 64) }},
		"text":              {tiny, tinyBundle, func(g *golden) { g.Text8[0] += 0.01 }},
		"image":             {tiny, tinyBundle, func(g *golden) { g.Image8[0] += 0.01 }},
		"logits":            {tiny, tinyBundle, func(g *golden) { g.Logits[3] += 0.01 }},
		"similarity":        {tiny, tinyBundle, func(g *golden) { g.Similarity += 0.01 }},
		"embedding":         {tiny, tinyBundle, func(g *golden) { g.Embedding8[0] += 0.01 }},
		"cam":               {tiny, tinyBundle, func(g *golden) { g.CAM8[0] += 0.01 }},
		"cam sums":          {tiny, tinyBundle, func(g *golden) { g.CAMSums[0] += 0.01 }},
		"last of text":      {twin, twins[0], func(g *golden) { g.TextVector[63] += 0.01 }},
		"last of image":     {twin, twins[0], func(g *golden) { g.ImageVector[63] += 0.01 }},
		"last of embedding": {twin, twins[0], func(g *golden) { g.Embedding[127] += 0.01 }},
		"last of cam":       {twin, twins[0], func(g *golden) { g.CAM[63] += 0.01 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.m.Verify(t.Context(), changedGolden(t, test.dir, test.change))
			require.NoError(t, err)
			require.False(t, got.OK, "%+v", got)
		})
	}
}

// changedGolden is a copy of a bundle, one golden post of which was changed.
func changedGolden(t *testing.T, dir string, change func(*golden)) string {
	t.Helper()
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	edit(t, filepath.Join(copied, GoldenFile), func(data []byte) []byte {
		var posts []golden
		require.NoError(t, json.Unmarshal(data, &posts))
		change(&posts[1])
		changed, err := json.Marshal(posts)
		require.NoError(t, err)
		return changed
	})
	return copied
}

// TestWrongGoldenPosts: what cannot be replayed is an error that says which
// post and what.
func TestWrongGoldenPosts(t *testing.T) {
	t.Parallel()
	m := openBundle(t, twins[0])
	for want, change := range map[string]func(*golden){
		"golden post 1, golden/none.jpg":    func(g *golden) { g.Image = "golden/none.jpg" },
		"path escapes from parent":          func(g *golden) { g.Pixels = "../other.png" },
		"golden.json: model: ":              func(g *golden) { g.Image = GoldenFile },
		"pixels, the bundle takes 16×16":    func(g *golden) { g.Pixels = g.Image },
		"3 reference values of text for 64": func(g *golden) { g.TextVector = g.TextVector[:3] },
		"0 golden values of logits for 4":   func(g *golden) { g.Logits = nil },
		"65 golden values of text for 64":   func(g *golden) { g.Text8 = make([]float32, 65) },
		"63 reference values of cam for 64": func(g *golden) { g.CAM = g.CAM[1:] },
	} {
		_, err := m.Verify(t.Context(), changedGolden(t, twins[0], change))
		require.ErrorContains(t, err, want)
	}
	dir := t.TempDir()
	_, err := m.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "has no golden posts")
	require.NoError(t, os.WriteFile(filepath.Join(dir, GoldenFile), []byte("[]"), 0o600))
	_, err = m.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "is empty")
}
