package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/schemas"
)

// Input is what Encode relates: each text and image is read once, however many
// pairs point to it.
type Input struct {
	Texts  []string
	Images [][]uint8 // height·width·3 bytes each: RGB, rows from the top
	Pairs  []PairRef
}

// PairRef is one pair, as indices into an Input's texts and images.
type PairRef struct {
	Text, Image int32
}

// Output has one row for each pair of an Input, in its order.
type Output struct {
	Scores     []float32 // [n,4] calibrated probabilities of the relations
	Similarity []float32 // [n] in [−1,1]
	Embedding  []float32 // [n,d], L2 norm 1 (or 0, when the head gives zeros)
}

// ErrNotFinite is a graph that gave NaN or infinity: the bundle, the library
// or the memory is broken, and no score of it may go out.
var ErrNotFinite = errors.New("not a finite number")

// Encode relates the pairs of in. A row of the output depends on its own text
// and image alone, never on what else is in the input. When ctx ends, the
// graph runs under way are broken off.
func (m *Model) Encode(ctx context.Context, in Input) (Output, error) {
	if err := m.checkInput(in); err != nil {
		return Output{}, err
	}
	out := Output{
		Scores:     make([]float32, len(in.Pairs)*schemas.Relations),
		Similarity: make([]float32, len(in.Pairs)),
		Embedding:  make([]float32, len(in.Pairs)*m.Dim()),
	}
	if len(in.Pairs) == 0 {
		return out, nil
	}
	s := m.takeScratch()
	defer m.scratchPool.Put(s)
	ticket := m.slots.ticket()
	if err := m.runTowers(ctx, ticket, in, s); err != nil {
		return Output{}, err
	}
	if err := m.slots.take(ctx, ticket); err != nil {
		return Output{}, err
	}
	defer m.slots.give()
	for first := 0; first < len(in.Pairs); first += headChunk {
		last := min(first+headChunk, len(in.Pairs))
		if err := m.runHead(ctx, in.Pairs[first:last], s, Output{
			Scores:     out.Scores[first*schemas.Relations : last*schemas.Relations],
			Similarity: out.Similarity[first:last],
			Embedding:  out.Embedding[first*m.Dim() : last*m.Dim()],
		}); err != nil {
			return Output{}, err
		}
	}
	return out, nil
}

func (m *Model) checkInput(in Input) error {
	for i, image := range in.Images {
		if len(image) != m.pixelBytes() {
			return fmt.Errorf("model: image %d has %d bytes, the bundle takes %d×%d×3 = %d",
				i, len(image), m.Height(), m.Width(), m.pixelBytes())
		}
	}
	for i, p := range in.Pairs {
		if p.Text < 0 || int(p.Text) >= len(in.Texts) || p.Image < 0 || int(p.Image) >= len(in.Images) {
			return fmt.Errorf("model: pair %d points to text %d of %d and image %d of %d",
				i, p.Text, len(in.Texts), p.Image, len(in.Images))
		}
	}
	return nil
}

// scratch is the memory of one Encode, kept for the next.
type scratch struct {
	ids     []int64 // of all texts, one after the other
	texts   []tokens
	place   []int     // of a text: its row in textRows
	text    []float32 // [texts, text width], longest text first
	image   []float32 // [images, image width]
	logits  []float32
	gatherT []float32 // [pairs, text width] of a head run
	gatherI []float32
}

// tokens are the ids of one text.
type tokens struct {
	text        int // index in the input
	first, last int // in scratch.ids
}

func (t tokens) count() int { return t.last - t.first }

func (m *Model) takeScratch() *scratch {
	if s, ok := m.scratchPool.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

// sized returns a slice of n elements of any content, in buf's memory if that
// is large enough.
func sized[T any](buf []T, n int) []T {
	return slices.Grow(buf[:0], n)[:n]
}

// runTowers fills s.text and s.image: images first, since they take longest,
// then texts from the longest to the shortest, so that cores finish together.
func (m *Model) runTowers(ctx context.Context, ticket uint64, in Input, s *scratch) error {
	m.tokenize(in.Texts, s)
	s.text = sized(s.text, len(in.Texts)*m.manifest.Text.Width)
	s.image = sized(s.image, len(in.Images)*m.manifest.Image.Width)
	imageRuns := (len(in.Images) + m.imageChunk - 1) / m.imageChunk
	textRuns := (len(in.Texts) + m.textChunk - 1) / m.textChunk

	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(m.workers, imageRuns+textRuns) {
		group.Go(func() error {
			for {
				run := int(next.Add(1)) - 1
				if run >= imageRuns+textRuns {
					return nil
				}
				if err := m.slots.take(ctx, ticket); err != nil {
					return err
				}
				var err error
				if run < imageRuns {
					err = m.runImages(ctx, in.Images, run*m.imageChunk, s)
				} else {
					err = m.runTexts(ctx, (run-imageRuns)*m.textChunk, s)
				}
				m.slots.give()
				if err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// tokenize fills s.ids, s.texts (longest first) and s.place.
func (m *Model) tokenize(texts []string, s *scratch) {
	s.ids, s.texts = s.ids[:0], s.texts[:0]
	for i, text := range texts {
		first := len(s.ids)
		s.ids = m.tokenizer.Encode(s.ids, text)
		s.texts = append(s.texts, tokens{text: i, first: first, last: len(s.ids)})
	}
	slices.SortStableFunc(s.texts, func(a, b tokens) int { return cmp.Compare(b.count(), a.count()) })
	s.place = sized(s.place, len(texts))
	for row, t := range s.texts {
		s.place[t.text] = row
	}
}

// runTexts runs the text tower on one chunk of s.texts.
func (m *Model) runTexts(ctx context.Context, first int, s *scratch) error {
	chunk := s.texts[first:min(first+m.textChunk, len(s.texts))]
	length := chunk[0].count()
	ids, mask := s.ids[chunk[0].first:chunk[0].last], m.ones[:length]
	if len(chunk) > 1 {
		// Padding is masked, so its id is of no account.
		ids, mask = make([]int64, len(chunk)*length), make([]int64, len(chunk)*length)
		for i, t := range chunk {
			n := copy(ids[i*length:], s.ids[t.first:t.last])
			copy(mask[i*length:], m.ones[:n])
		}
	}
	width := m.manifest.Text.Width
	out := s.text[first*width : (first+len(chunk))*width]
	shape := []int64{int64(len(chunk)), int64(length)}
	if err := m.text.Run(ctx,
		[]runtime.Tensor{runtime.NewTensor(ids, shape...), runtime.NewTensor(mask, shape...)},
		[]runtime.Tensor{runtime.NewTensor(out, int64(len(chunk)), int64(width))},
	); err != nil {
		return err
	}
	return checkFinite(m.manifest.Text.Graph, "text", out)
}

// runImages runs the image tower on one chunk of images.
func (m *Model) runImages(ctx context.Context, images [][]uint8, first int, s *scratch) error {
	chunk := images[first:min(first+m.imageChunk, len(images))]
	pixels, ok := adjoining(chunk)
	if !ok {
		pixels = make([]uint8, 0, len(chunk)*m.pixelBytes())
		for _, image := range chunk {
			pixels = append(pixels, image...)
		}
	}
	width := m.manifest.Image.Width
	out := s.image[first*width : (first+len(chunk))*width]
	if err := m.image.Run(ctx,
		[]runtime.Tensor{m.pixelTensor(pixels, len(chunk))},
		[]runtime.Tensor{runtime.NewTensor(out, int64(len(chunk)), int64(width))},
	); err != nil {
		return err
	}
	return checkFinite(m.manifest.Image.Graph, "image", out)
}

// adjoining returns the images as one slice when they lie one after the other
// in memory, as the rows of an Arrow column do: half a megabyte not copied.
func adjoining(images [][]uint8) ([]uint8, bool) {
	joined := images[0]
	for _, next := range images[1:] {
		n := len(joined)
		if cap(joined) < n+len(next) || &joined[:n+1][n] != &next[0] {
			return nil, false
		}
		joined = joined[:n+len(next)]
	}
	return joined, true
}

// runHead relates pairs whose towers have run, and writes one row of out each.
func (m *Model) runHead(ctx context.Context, pairs []PairRef, s *scratch, out Output) error {
	n := len(pairs)
	textWidth, imageWidth := m.manifest.Text.Width, m.manifest.Image.Width
	s.gatherT, s.gatherI = s.gatherT[:0], s.gatherI[:0]
	for _, p := range pairs {
		text, image := s.place[p.Text]*textWidth, int(p.Image)*imageWidth
		s.gatherT = append(s.gatherT, s.text[text:text+textWidth]...)
		s.gatherI = append(s.gatherI, s.image[image:image+imageWidth]...)
	}
	s.logits = sized(s.logits, n*schemas.Relations)
	name := m.manifest.Head.Graph
	if err := m.head.Run(ctx,
		[]runtime.Tensor{runtime.NewTensor(s.gatherT, int64(n), int64(textWidth)), runtime.NewTensor(s.gatherI, int64(n), int64(imageWidth))},
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
