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

	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

// GoldenFile holds posts that were run elsewhere: in a bundle by its maker.
const GoldenFile = "golden.json"

// Tolerance is how far a replayed number may be from the bundle's, relative
// to numbers above 1. CPUs differ in which int8 instructions they have.
const Tolerance = 1e-3

// goldenLimits are for images that come with a bundle.
var goldenLimits = pixels.Limits{MaxBytes: 1 << 24, MaxPixels: 1 << 26, MaxSide: 1 << 14}

// golden is one post that was run elsewhere, from the text and the image file
// on: by the bundle's maker through the same graphs, or, as a reference, by
// Hugging Face and PyTorch.
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

	// A reference has the pixels, as the path of a PNG, and whole outputs too.
	Pixels      string    `json:"pixels,omitempty"`
	TextVector  []float32 `json:"text_vector,omitempty"`
	ImageVector []float32 `json:"image_vector,omitempty"`
	Embedding   []float32 `json:"embedding,omitempty"`
	CAM         []float32 `json:"cam,omitempty"`
}

// Replay says how golden posts come out here.
type Replay struct {
	Posts       int `json:"posts"`
	EqualIDs    int `json:"equal_token_ids"` // posts whose token ids are the same
	EqualPixels int `json:"equal_pixels"`    // posts whose pixels are the same
	// PixelErrors is nil unless all posts are a reference, with its pixels.
	PixelErrors *PixelErrors `json:"pixel_errors,omitempty"`
	// Differences are the largest ones, relative to numbers above 1. Those of
	// a reference are measured on its pixels, whether they are equal or not.
	Differences map[string]float64 `json:"largest_differences"`
	// Absolute are the largest differences as they are.
	Absolute map[string]float64 `json:"largest_absolute_differences"`
	OK       bool               `json:"ok"`
}

// PixelErrors is by how many of 255 levels samples are off.
type PixelErrors struct {
	Max   int     `json:"max"`
	Mean  float64 `json:"mean"`
	Above float64 `json:"share_above_1"` // of samples that are off by more than one level
}

// Verify replays the golden posts of the folder dir: the bundle that the model
// was opened from, or another folder with a GoldenFile. OK is that ids and
// pixels are equal, and numbers within Tolerance.
func (m *Model) Verify(ctx context.Context, dir string) (Replay, error) {
	root, err := os.OpenRoot(locate(dir))
	if err != nil {
		return Replay{}, fmt.Errorf("model: open golden posts: %w", err)
	}
	defer root.Close() //nolint:errcheck // opened to read
	data, err := root.ReadFile(GoldenFile)
	if err != nil {
		return Replay{}, fmt.Errorf("model: %s has no golden posts: %w", dir, err)
	}
	var posts []golden
	if err := json.Unmarshal(data, &posts); err != nil {
		return Replay{}, fmt.Errorf("model: %s: %s: %w", dir, GoldenFile, err)
	}
	if len(posts) == 0 {
		return Replay{}, fmt.Errorf("model: %s: %s is empty", dir, GoldenFile)
	}
	r, err := m.replay(ctx, root, posts)
	if err != nil {
		return Replay{}, fmt.Errorf("model: %s: %w", dir, err)
	}
	r.OK = r.EqualIDs == r.Posts && r.EqualPixels == r.Posts
	for _, d := range r.Differences {
		r.OK = r.OK && d <= Tolerance
	}
	return r, nil
}

func (m *Model) replay(ctx context.Context, root *os.Root, posts []golden) (Replay, error) {
	n := len(posts)
	r := Replay{Posts: n, Differences: map[string]float64{}, Absolute: map[string]float64{}}
	var in Input
	var images [][]uint8
	var sum levels
	for i, g := range posts {
		if slices.Equal(g.InputIDs, m.tokenizer.Encode(nil, g.Text)) {
			r.EqualIDs++
		}
		image, err := m.replayPixels(root, g, &r, &sum)
		if err != nil {
			return r, fmt.Errorf("golden post %d, %s: %w", i, g.Image, err)
		}
		images = append(images, image)
		in.Texts, in.Images = append(in.Texts, g.Text), append(in.Images, make([]float32, m.ImageWidth()))
	}
	if sum.posts == n {
		r.PixelErrors = &PixelErrors{Max: sum.worst, Mean: float64(sum.total) / float64(sum.samples), Above: float64(sum.above) / float64(sum.samples)}
	}

	// All posts at once, so that they are cut into runs and padded as a stream's.
	if err := m.seeAll(ctx, images, in.Images); err != nil {
		return r, err
	}
	s := m.takeScratch()
	defer m.giveScratch(s)
	if err := m.readTexts(ctx, m.slots.ticket(), in.Texts, s); err != nil {
		return r, err
	}
	out := Output{Scores: make([]float32, n*schemas.Relations), Similarity: make([]float32, n), Embedding: make([]float32, n*m.Dim())}
	if err := m.runHead(ctx, s.vectors, in.Images, s, out); err != nil {
		return r, err
	}
	cams, err := m.explainAll(ctx, images, in.Texts)
	if err != nil {
		return r, err
	}
	for i, g := range posts {
		flat, sums := cams[i].flatten()
		text, image := s.vectors[i], in.Images[i]
		embedding := nth(out.Embedding, i, m.Dim())
		if err := errors.Join(
			r.compare("text", g.Text8, text), r.compareWhole("text", g.TextVector, text),
			r.compare("image", g.Image8, image), r.compareWhole("image", g.ImageVector, image),
			r.compare("logits", g.Logits, nth(s.logits, i, schemas.Relations)),
			r.compare("similarity", []float32{g.Similarity}, out.Similarity[i:]),
			r.compare("embedding", g.Embedding8, embedding), r.compareWhole("embedding", g.Embedding, embedding),
			r.compare("cam", g.CAM8, flat), r.compareWhole("cam", g.CAM, flat),
			r.compare("cam sums", g.CAMSums, sums),
		); err != nil {
			return r, fmt.Errorf("golden post %d, %s: %w", i, g.Image, err)
		}
	}
	return r, nil
}

// seeAll sees each image into the vector of the same number.
func (m *Model) seeAll(ctx context.Context, images [][]uint8, vectors [][]float32) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, image := range images {
		group.Go(func() error { return m.See(ctx, image, vectors[i]) })
	}
	return group.Wait()
}

// explainAll explains each image with the text of the same number.
func (m *Model) explainAll(ctx context.Context, images [][]uint8, texts []string) ([]CAM, error) {
	cams := make([]CAM, len(images))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(m.workers)
	for i, image := range images {
		group.Go(func() (err error) {
			cams[i], err = m.Explain(ctx, image, texts[i])
			return err
		})
	}
	return cams, group.Wait()
}

// nth is the i-th row of a matrix.
func nth(matrix []float32, i, width int) []float32 { return matrix[i*width : (i+1)*width] }

// flatten returns all values one after the other, and each relation's sum.
func (c *CAM) flatten() (flat, sums []float32) {
	for _, relation := range c.Relations {
		flat = append(flat, relation...)
		var sum float64
		for _, v := range relation {
			sum += float64(v)
		}
		sums = append(sums, float32(sum))
	}
	return flat, sums
}

// levels adds up by how much pixels are off.
type levels struct {
	posts, samples, total, above, worst int
}

// replayPixels compares the pixels of a post, and returns those to go on with.
func (m *Model) replayPixels(root *os.Root, g golden, r *Replay, sum *levels) ([]uint8, error) {
	file, err := root.ReadFile(g.Image)
	if err != nil {
		return nil, err
	}
	image, err := m.Pixels(file, goldenLimits)
	if err != nil {
		return nil, err
	}
	if digest := sha256.Sum256(image); hex.EncodeToString(digest[:]) == g.PixelsSHA256 {
		r.EqualPixels++
	}
	if g.Pixels == "" {
		return image, nil
	}
	if file, err = root.ReadFile(g.Pixels); err != nil {
		return nil, err
	}
	want, err := pixels.Decode(file, goldenLimits, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Pixels, err)
	}
	if len(want.Pix) != len(image) {
		return nil, fmt.Errorf("%s: %d×%d pixels, the bundle takes %d×%d", g.Pixels, want.Width, want.Height, m.Width(), m.Height())
	}
	sum.posts++
	sum.samples += len(image)
	for i, w := range want.Pix {
		off := max(int(w)-int(image[i]), int(image[i])-int(w))
		sum.total += off
		sum.worst = max(sum.worst, off)
		if off > 1 {
			sum.above++
		}
	}
	return want.Pix, nil
}

// compare holds want against the beginning of got.
func (r *Replay) compare(what string, want, got []float32) error {
	if len(want) == 0 || len(want) > len(got) {
		return fmt.Errorf("%d golden values of %s for %d", len(want), what, len(got))
	}
	for i, w := range want {
		d := math.Abs(float64(w) - float64(got[i]))
		r.Absolute[what] = max(r.Absolute[what], d)
		r.Differences[what] = max(r.Differences[what], d/max(1, math.Abs(float64(w))))
	}
	return nil
}

// compareWhole holds all of a reference's values against got.
func (r *Replay) compareWhole(what string, want, got []float32) error {
	if len(want) == 0 {
		return nil // no reference
	}
	if len(want) != len(got) {
		return fmt.Errorf("%d reference values of %s for %d", len(want), what, len(got))
	}
	return r.compare(what, want, got)
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
