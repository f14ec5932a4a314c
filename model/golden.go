package model

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/itrstream/itrstream/model/pixels"
)

// GoldenFile holds the posts that a bundle's maker ran through its graphs.
const GoldenFile = "golden.json"

// Tolerance is how far a replayed number may be from the bundle's, relative
// to numbers above 1. CPUs differ in which int8 instructions they have.
const Tolerance = 1e-3

// goldenLimits are for images that come with a bundle.
var goldenLimits = pixels.Limits{MaxBytes: 1 << 24, MaxPixels: 1 << 26, MaxSide: 1 << 14}

// golden is one post that the bundle's maker ran through its own graphs in
// Python, from the text and the image file on.
type golden struct {
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

// Replay says how a bundle's golden posts come out here.
type Replay struct {
	Posts       int `json:"posts"`
	EqualIDs    int `json:"equal_token_ids"` // posts whose token ids are the same
	EqualPixels int `json:"equal_pixels"`    // posts whose pixels are the same
	// Differences are the largest ones, relative to numbers above 1.
	Differences map[string]float64 `json:"largest_differences"`
	OK          bool               `json:"ok"`
}

// Verify replays the golden posts of the bundle in dir, which the model was
// opened from: ids and pixels must be equal, numbers within Tolerance.
func (m *Model) Verify(ctx context.Context, dir string) (Replay, error) {
	root, err := os.OpenRoot(locate(dir))
	if err != nil {
		return Replay{}, fmt.Errorf("model: open bundle: %w", err)
	}
	defer root.Close() //nolint:errcheck // opened to read
	data, err := root.ReadFile(GoldenFile)
	if err != nil {
		return Replay{}, fmt.Errorf("model: bundle %s has no golden posts: %w", dir, err)
	}
	var posts []golden
	if err := json.Unmarshal(data, &posts); err != nil {
		return Replay{}, fmt.Errorf("model: bundle %s: %s: %w", dir, GoldenFile, err)
	}
	if len(posts) == 0 {
		return Replay{}, fmt.Errorf("model: bundle %s: %s is empty", dir, GoldenFile)
	}
	r := Replay{Posts: len(posts), Differences: map[string]float64{}}
	for i, g := range posts {
		if err := m.replay(ctx, root, g, &r); err != nil {
			return Replay{}, fmt.Errorf("model: bundle %s: golden post %d, %s: %w", dir, i, g.Image, err)
		}
	}
	r.OK = r.EqualIDs == r.Posts && r.EqualPixels == r.Posts
	for _, d := range r.Differences {
		r.OK = r.OK && d <= Tolerance
	}
	return r, nil
}

func (m *Model) replay(ctx context.Context, root *os.Root, g golden, r *Replay) error {
	if slices.Equal(g.InputIDs, m.tokenizer.Encode(nil, g.Text)) {
		r.EqualIDs++
	}
	file, err := root.ReadFile(g.Image)
	if err != nil {
		return err
	}
	image, err := m.Pixels(file, goldenLimits)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(image); hex.EncodeToString(sum[:]) == g.PixelsSHA256 {
		r.EqualPixels++
	}

	in := Input{Texts: []string{g.Text}, Images: [][]uint8{image}, Pairs: []PairRef{{}}}
	s := m.takeScratch()
	defer m.scratchPool.Put(s)
	if err := m.runTowers(ctx, m.slots.ticket(), in, s); err != nil {
		return err
	}
	out := Output{Scores: make([]float32, 4), Similarity: make([]float32, 1), Embedding: make([]float32, m.Dim())}
	if err := m.runHead(ctx, in.Pairs, s, out); err != nil {
		return err
	}
	cam, err := m.Explain(ctx, image, g.Text)
	if err != nil {
		return err
	}
	var flat, sums []float32
	for _, relation := range cam.Relations {
		flat = append(flat, relation...)
		var sum float64
		for _, v := range relation {
			sum += float64(v)
		}
		sums = append(sums, float32(sum))
	}
	return errors.Join(
		r.compare("text", g.Text8, s.text),
		r.compare("image", g.Image8, s.image),
		r.compare("logits", g.Logits, s.logits),
		r.compare("similarity", []float32{g.Similarity}, out.Similarity),
		r.compare("embedding", g.Embedding8, out.Embedding),
		r.compare("cam", g.CAM8, flat),
		r.compare("cam sums", g.CAMSums, sums),
	)
}

// compare holds want against the beginning of got.
func (r *Replay) compare(what string, want, got []float32) error {
	if len(want) == 0 || len(want) > len(got) {
		return fmt.Errorf("%d golden values of %s for %d", len(want), what, len(got))
	}
	for i, w := range want {
		d := math.Abs(float64(w-got[i])) / max(1, math.Abs(float64(w)))
		r.Differences[what] = max(r.Differences[what], d)
	}
	return nil
}

// Pixels decodes and scales one encoded image as the bundle asks for, into
// height·width·3 bytes.
func (m *Model) Pixels(encoded []byte, limits pixels.Limits) ([]uint8, error) {
	picture, err := pixels.Decode(encoded, limits, m.Orient())
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	defer picture.Release()
	image := make([]uint8, m.pixelBytes())
	if err := m.Transform().Apply(image, picture); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	return image, nil
}
