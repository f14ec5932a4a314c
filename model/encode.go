package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/schemas"
)

// Input is what Encode relates: row by row one text, and what See made of one
// image.
type Input struct {
	Texts  []string
	Images [][]float32 // ImageWidth values each
}

// Output has one row for each of an Input.
type Output struct {
	Scores     []float32 // [n,4] calibrated probabilities of the relations
	Similarity []float32 // [n] in [−1,1]
	Embedding  []float32 // [n,d], L2 norm 1 (or 0, when the head gives zeros)
}

// ErrNotFinite is a graph that gave NaN or infinity: the bundle, the library
// or the memory is broken, and no score of it may go out.
var ErrNotFinite = errors.New("not a finite number")

// Encode relates the rows of in. A row of the output depends on its own text
// and image alone, never on what else is in the input or was in one before. When ctx ends, the
// graph runs under way are broken off.
func (m *Model) Encode(ctx context.Context, in Input) (Output, error) {
	if err := m.checkInput(in); err != nil {
		return Output{}, err
	}
	n := len(in.Texts)
	out := Output{
		Scores:     make([]float32, n*schemas.Relations),
		Similarity: make([]float32, n),
		Embedding:  make([]float32, n*m.Dim()),
	}
	if n == 0 {
		return out, nil
	}
	s := m.takeScratch()
	defer m.giveScratch(s)
	ticket := m.slots.ticket()
	if err := m.readTexts(ctx, ticket, in.Texts, s); err != nil {
		return Output{}, err
	}
	if err := m.slots.take(ctx, ticket); err != nil {
		return Output{}, err
	}
	defer m.slots.give()
	for first := 0; first < n; first += headChunk {
		last := min(first+headChunk, n)
		if err := m.runHead(ctx, s.vectors[first:last], in.Images[first:last], s, Output{
			Scores:     out.Scores[first*schemas.Relations : last*schemas.Relations],
			Similarity: out.Similarity[first:last],
			Embedding:  out.Embedding[first*m.Dim() : last*m.Dim()],
		}); err != nil {
			return Output{}, err
		}
	}
	return out, nil
}

// Relate is See and Encode of one pair; the output has one row.
func (m *Model) Relate(ctx context.Context, text string, pixels []uint8) (Output, error) {
	image := make([]float32, m.ImageWidth())
	if err := m.See(ctx, pixels, image); err != nil {
		return Output{}, err
	}
	return m.Encode(ctx, Input{Texts: []string{text}, Images: [][]float32{image}})
}

func (m *Model) checkInput(in Input) error {
	if len(in.Texts) != len(in.Images) {
		return fmt.Errorf("model: %d texts and %d images: each row has one of both", len(in.Texts), len(in.Images))
	}
	for i, image := range in.Images {
		if len(image) != m.ImageWidth() {
			return fmt.Errorf("model: image %d has %d values, the bundle's image tower gives %d", i, len(image), m.ImageWidth())
		}
	}
	return nil
}

// scratch is the memory of one Encode, kept for the next.
type scratch struct {
	ids     []int64        // of the texts to be read, one after the other
	unread  []tokens       // longest first
	runs    []span         // of unread
	costs   []int          // of runs
	rows    map[digest]int // of unread, by their digests
	digests []digest       // of all texts
	vectors [][]float32    // of all texts: what the text tower made of them
	text    []float32      // [unread, text width]
	key     []byte
	logits  []float32
	gatherT []float32 // [rows, text width] of a head run
	gatherI []float32
}

func (m *Model) takeScratch() *scratch {
	if s, ok := m.scratchPool.Get().(*scratch); ok {
		return s
	}
	return &scratch{rows: make(map[digest]int)}
}

func (m *Model) giveScratch(s *scratch) {
	clear(s.vectors) // some are of the cache, which may have dropped them
	m.scratchPool.Put(s)
}

// sized returns a slice of n elements of any content, in buf's memory if that
// is large enough.
func sized[T any](buf []T, n int) []T {
	return slices.Grow(buf[:0], n)[:n]
}

// runHead relates rows whose towers have run, and writes one row of out each.
func (m *Model) runHead(ctx context.Context, texts, images [][]float32, s *scratch, out Output) error {
	n := len(texts)
	s.gatherT, s.gatherI = s.gatherT[:0], s.gatherI[:0]
	for i := range n {
		s.gatherT = append(s.gatherT, texts[i]...)
		s.gatherI = append(s.gatherI, images[i]...)
	}
	s.logits = sized(s.logits, n*schemas.Relations)
	name := m.manifest.Head.Graph
	if err := m.head.Run(ctx,
		[]runtime.Tensor{
			runtime.NewTensor(s.gatherT, int64(n), int64(m.manifest.Text.Width)),
			runtime.NewTensor(s.gatherI, int64(n), int64(m.manifest.Image.Width)),
		},
		[]runtime.Tensor{
			runtime.NewTensor(s.logits, int64(n), schemas.Relations),
			runtime.NewTensor(out.Similarity, int64(n)),
			runtime.NewTensor(out.Embedding, int64(n), int64(m.Dim())),
		},
	); err != nil {
		return err
	}
	if err := errors.Join(
		checkFinite(name, "logits", s.logits),
		checkFinite(name, "similarity", out.Similarity),
		checkFinite(name, "embedding", out.Embedding),
	); err != nil {
		return err
	}
	for i := range n {
		m.manifest.Calibration.apply(out.Scores[i*schemas.Relations:], s.logits[i*schemas.Relations:])
		// A cosine in float32 may stick out by a rounding.
		out.Similarity[i] = min(max(out.Similarity[i], -1), 1)
		normalise(out.Embedding[i*m.Dim() : (i+1)*m.Dim()])
	}
	return nil
}

// apply writes the four probabilities of four logits.
func (c *Calibration) apply(scores, logits []float32) {
	var z [schemas.Relations]float64
	top := math.Inf(-1)
	for i := range z {
		z[i] = c.Bias[i]
		for j, weight := range c.Matrix[i] {
			z[i] += weight * float64(logits[j])
		}
		top = max(top, z[i])
	}
	var sum float64
	for i := range z {
		z[i] = math.Exp(z[i] - top)
		sum += z[i]
	}
	for i := range z {
		scores[i] = float32(z[i] / sum)
	}
}

// normalise scales v to length 1; a vector of zeros stays one.
func normalise(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}

func checkFinite(graph, output string, values []float32) error {
	for i, v := range values {
		if d := float64(v); math.IsNaN(d) || math.IsInf(d, 0) {
			return fmt.Errorf("model: graph %s gave %v at element %d of its output %s: %w", graph, v, i, output, ErrNotFinite)
		}
	}
	return nil
}
