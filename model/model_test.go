package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/pixels"
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

// goldenEntry is one post that the bundle's maker ran through its own graphs
// in Python, from the text and the image file on.
type goldenEntry struct {
	Text         string    `json:"text"`
	Image        string    `json:"image"`
	InputIDs     []int64   `json:"input_ids"`
	PixelsSHA256 string    `json:"pixels_sha256"`
	Text8        []float32 `json:"text_first8"`
	Image8       []float32 `json:"image_first8"`
	Logits       []float32 `json:"logits"`
	Similarity   float32   `json:"similarity"`
	Embedding8   []float32 `json:"embedding_first8"`
	CAM8         []float32 `json:"cam_first8"`
	CAMSums      []float32 `json:"cam_sums"`
}

// TestGolden replays what each bundle was made with: ids and pixels must be
// equal, numbers close.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{tinyBundle, miniBundle} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			m := openBundle(t, dir)
			data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			require.NoError(t, err)
			var entries []goldenEntry
			require.NoError(t, json.Unmarshal(data, &entries))
			require.NotEmpty(t, entries)
			for i, e := range entries {
				t.Run(fmt.Sprint(i, " ", e.Image), func(t *testing.T) {
					t.Parallel()
					m.replay(t, dir, e)
				})
			}
		})
	}
}

func (m *Model) replay(t *testing.T, dir string, e goldenEntry) {
	require.Equal(t, e.InputIDs, m.tokenizer.Encode(nil, e.Text), "token ids of %q", e.Text)

	file, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.Image)))
	require.NoError(t, err)
	picture, err := pixels.Decode(file, pixels.Limits{MaxBytes: 1 << 24, MaxPixels: 1 << 26, MaxSide: 1 << 14}, m.Orient())
	require.NoError(t, err)
	image := make([]uint8, m.Transform().Size())
	require.NoError(t, m.Transform().Apply(image, picture))
	sum := sha256.Sum256(image)
	require.Equal(t, e.PixelsSHA256, hex.EncodeToString(sum[:]), "pixels")

	in := Input{Texts: []string{e.Text}, Images: [][]uint8{image}, Pairs: []PairRef{{}}}
	s := m.takeScratch()
	require.NoError(t, m.runTowers(t.Context(), m.slots.ticket(), in, s))
	closeTo(t, "text", e.Text8, s.text)
	closeTo(t, "image", e.Image8, s.image)
	out := Output{Scores: make([]float32, 4), Similarity: make([]float32, 1), Embedding: make([]float32, m.Dim())}
	require.NoError(t, m.runHead(t.Context(), in.Pairs, s, out))
	closeTo(t, "logits", e.Logits, s.logits)
	closeTo(t, "similarity", []float32{e.Similarity}, out.Similarity)
	closeTo(t, "embedding", e.Embedding8, out.Embedding)

	var flat, sums []float32
	cam, err := m.Explain(t.Context(), image, e.Text)
	require.NoError(t, err)
	for _, r := range cam.Relations {
		require.Len(t, r, cam.Height*cam.Width)
		flat = append(flat, r...)
		var sum float64
		for _, v := range r {
			sum += float64(v)
		}
		sums = append(sums, float32(sum))
	}
	closeTo(t, "cam", e.CAM8, flat)
	closeTo(t, "sums of cam", e.CAMSums, sums)
}

// closeTo compares want with the beginning of got.
func closeTo(t *testing.T, what string, want, got []float32) {
	t.Helper()
	const tolerance = 1e-3
	require.NotEmpty(t, want, what)
	require.LessOrEqual(t, len(want), len(got), what)
	for i, w := range want {
		if math.Abs(float64(w-got[i])) > tolerance*max(1, math.Abs(float64(w))) {
			t.Errorf("%s[%d] is %v, want %v", what, i, got[i], w)
		}
	}
}
