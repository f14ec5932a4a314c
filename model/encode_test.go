package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/schemas"
)

// tinySingle is the tiny bundle with texts run one by one.
func tinySingle(t *testing.T) string {
	dir := copyTiny(t)
	rewrite(t, dir, strings.NewReplacer("batching: padded", "batching: single"), nil)
	return dir
}

// testPosts are posts of one image each.
type testPosts struct {
	texts  []string
	images [][]uint8
}

// randomPosts has n texts, from empty to beyond what a model reads, and n
// images, from flat to noise.
func randomPosts(m *Model, n int, seed uint64) testPosts {
	random := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("look at the red bridge and this dog ! running here in a blue river , 12 cats 😀 naïve unbelievably")
	size := m.pixelBytes()
	var d testPosts
	for i := range n {
		text := make([]string, random.IntN(i+1)*random.IntN(8))
		for j := range text {
			text[j] = words[random.IntN(len(words))]
		}
		d.texts = append(d.texts, strings.Join(text, " "))
		image := make([]uint8, size)
		level, noise := random.IntN(256), 1+random.IntN(255)
		for j := range image {
			image[j] = uint8(min(255, max(0, level+random.IntN(noise)-noise/2)))
		}
		d.images = append(d.images, image)
	}
	return d
}

// seen is posts with their images seen, all at once.
func (d testPosts) seen(t testing.TB, m *Model) Input {
	t.Helper()
	in := Input{Texts: d.texts, Images: make([][]float32, len(d.images))}
	for i := range in.Images {
		in.Images[i] = make([]float32, m.ImageWidth())
	}
	require.NoError(t, m.seeAll(t.Context(), d.images, in.Images))
	return in
}

func randomInput(t testing.TB, m *Model, n int, seed uint64) Input {
	t.Helper()
	return randomPosts(m, n, seed).seen(t, m)
}

// only returns some rows of in.
func (in Input) only(rows ...int) Input {
	var some Input
	for _, i := range rows {
		some.Texts, some.Images = append(some.Texts, in.Texts[i]), append(some.Images, in.Images[i])
	}
	return some
}

// row returns row i of out as one vector.
func (out Output) row(i, dim int) []float32 {
	row := append([]float32{}, out.Scores[i*schemas.Relations:(i+1)*schemas.Relations]...)
	row = append(row, out.Similarity[i])
	return append(row, out.Embedding[i*dim:(i+1)*dim]...)
}

func distance(a, b []float32) float64 {
	var most float64
	for i := range a {
		most = max(most, math.Abs(float64(a[i])-float64(b[i])))
	}
	return most
}

// TestRowsDoNotDependOnTheBatch: a row alone, among 31 others (whose longer
// texts pad it, where the bundle pads), and in another order.
func TestRowsDoNotDependOnTheBatch(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"padded": tinyBundle, "single": tinySingle(t), "itr-mini": miniBundle} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := openBundle(t, dir)
			const rows, tolerance = 32, 1e-4
			posts := randomPosts(m, rows, 7)
			in := posts.seen(t, m)
			together, err := m.Encode(t.Context(), in)
			require.NoError(t, err)
			backwards := Input{Texts: slices.Clone(in.Texts), Images: slices.Clone(in.Images)}
			slices.Reverse(backwards.Texts)
			slices.Reverse(backwards.Images)
			turned, err := m.Encode(t.Context(), backwards)
			require.NoError(t, err)
			var worst float64
			for i := range rows {
				alone, err := m.Relate(t.Context(), posts.texts[i], posts.images[i])
				require.NoError(t, err)
				want := alone.row(0, m.Dim())
				worst = max(worst, distance(want, together.row(i, m.Dim())), distance(want, turned.row(rows-1-i, m.Dim())))
			}
			t.Logf("largest difference %.2g", worst)
			require.Less(t, worst, tolerance)
		})
	}
}

// TestOutputIsWellFormed: probabilities, a cosine, a unit vector.
func TestOutputIsWellFormed(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	out, err := m.Encode(t.Context(), randomInput(t, m, 300, 3)) // more than one run of the head
	require.NoError(t, err)
	for i := range 300 {
		var sum, norm float64
		for _, s := range out.Scores[i*4 : i*4+4] {
			require.Positive(t, s)
			sum += float64(s)
		}
		for _, e := range out.Embedding[i*m.Dim() : (i+1)*m.Dim()] {
			norm += float64(e) * float64(e)
		}
		require.InDelta(t, 1, sum, 1e-6)
		require.InDelta(t, 1, norm, 1e-6)
		require.LessOrEqual(t, math.Abs(float64(out.Similarity[i])), 1.0)
	}
}

// TestSharedTextsAndImages: rows may have the same text or image.
func TestSharedTextsAndImages(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	in := randomInput(t, m, 6, 5).only(5, 0, 5, 2, 5)
	in.Images[0], in.Images[4] = in.Images[1], in.Images[1]
	out, err := m.Encode(t.Context(), in)
	require.NoError(t, err)
	for i := range in.Texts {
		alone, err := m.Encode(t.Context(), in.only(i))
		require.NoError(t, err)
		require.InDelta(t, 0, distance(alone.row(0, m.Dim()), out.row(i, m.Dim())), 1e-6, "row %d", i)
	}
	none, err := m.Encode(t.Context(), Input{})
	require.NoError(t, err)
	require.Empty(t, none.Scores)
}

func TestEncodesAtOnce(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	var group sync.WaitGroup
	var inputs [8]Input
	for seed := range inputs {
		inputs[seed] = randomInput(t, m, 20, uint64(seed))
	}
	for seed := range inputs {
		group.Go(func() {
			in := inputs[seed]
			first, err := m.Encode(t.Context(), in)
			for range 20 {
				again, err2 := m.Encode(t.Context(), in)
				if err := errors.Join(err, err2); err != nil {
					t.Error(err)
					return
				}
				for i := range in.Texts {
					if d := distance(first.row(i, m.Dim()), again.row(i, m.Dim())); d > 1e-6 {
						t.Errorf("row %d of input %d moved by %v", i, seed, d)
					}
				}
			}
		})
	}
	group.Wait()
}

func TestWrongInput(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	good := randomInput(t, m, 2, 1)
	for want, in := range map[string]Input{
		"image 1 has 3 values, the bundle's image tower gives": {Texts: good.Texts, Images: [][]float32{good.Images[0], {1, 2, 3}}},
		"1 texts and 2 images":                                 {Texts: good.Texts[:1], Images: good.Images},
	} {
		_, err := m.Encode(t.Context(), in)
		require.ErrorContains(t, err, want)
	}
	_, err := m.Relate(t.Context(), "", []uint8{1, 2, 3})
	require.ErrorContains(t, err, "an image of 3 bytes, the bundle takes 6×8×3 = 144")
	require.ErrorContains(t, m.See(t.Context(), make([]uint8, 144), make([]float32, 1)), "room for 1 values")
	_, err = m.Explain(t.Context(), []uint8{1}, "")
	require.ErrorContains(t, err, "an image of 1 bytes")
}

func TestEncodeIsCancelled(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	posts := randomPosts(m, 40, 1)
	in := posts.seen(t, m)
	_, err := m.Encode(ctx, in)
	require.ErrorIs(t, err, context.Canceled)
	_, err = m.Explain(ctx, posts.images[0], "")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, m.workers, m.slots.free)
	_, err = m.Encode(t.Context(), in)
	require.NoError(t, err)
}

// spoiled writes a number into the last output of a graph.
type spoiled struct {
	graph
	number float32
}

// Run implements graph.
func (s spoiled) Run(ctx context.Context, inputs, outputs []runtime.Tensor) error {
	if err := s.graph.Run(ctx, inputs, outputs); err != nil {
		return err
	}
	values, ok := outputs[len(outputs)-1].Data().([]float32)
	if !ok {
		return errors.New("the output is of another type")
	}
	values[len(values)-1] = s.number
	return nil
}

// TestNumbersThatAreNone: what a broken graph or memory gives never leaves the
// model as a score.
func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, number := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for name, spoil := range map[string]func(*Model, float32){
			"text.onnx":    func(m *Model, v float32) { m.text = spoiled{graph: m.text, number: v} },
			"image.onnx":   func(m *Model, v float32) { m.image = spoiled{graph: m.image, number: v} },
			"head.onnx":    func(m *Model, v float32) { m.head = spoiled{graph: m.head, number: v} },
			"explain.onnx": func(m *Model, v float32) { m.explain = spoiled{graph: m.explain, number: v} },
		} {
			t.Run(fmt.Sprint(name, number), func(t *testing.T) {
				t.Parallel()
				m := openBundle(t, tinyBundle)
				spoil(m, number)
				image := randomPosts(m, 1, 1).images[0]
				_, err := m.Relate(t.Context(), "b", image)
				if name == "explain.onnx" {
					require.NoError(t, err)
					_, err = m.Explain(t.Context(), image, "a")
				}
				require.ErrorIs(t, err, ErrNotFinite)
				require.ErrorContains(t, err, "graph "+name)
			})
		}
	}
}

func TestCalibration(t *testing.T) {
	t.Parallel()
	c := Calibration{
		Matrix: [4][4]float64{{2, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 1, 0, 1}},
		Bias:   [4]float64{0, 1, 0, 0},
	}
	scores := make([]float32, 4)
	c.apply(scores, []float32{1, 0, 2, 3})
	// softmax(2, 1, 2, 3)
	sum := math.Exp(2) + math.Exp(1) + math.Exp(2) + math.Exp(3)
	for i, z := range []float64{2, 1, 2, 3} {
		require.InDelta(t, math.Exp(z)/sum, scores[i], 1e-7)
	}
	c.apply(scores, []float32{1e30, 0, -1e30, 0})
	require.Equal(t, []float32{1, 0, 0, 0}, scores)
}

func TestNormalise(t *testing.T) {
	t.Parallel()
	v := []float32{3, 0, -4}
	normalise(v)
	require.InDeltaSlice(t, []float32{.6, 0, -.8}, v, 1e-7)
	zero := []float32{0, 0}
	normalise(zero)
	require.Equal(t, []float32{0, 0}, zero)
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	m := openBundle(t, tinyBundle)
	require.Equal(t, schemas.ModelRef{Name: "tiny", Version: "0.0.1", Digest: hexDigest([]byte(tinyManifest(t)))}, m.Ref())
	require.Equal(t, m.Ref().Digest, m.Digest())
	require.Equal(t, 12, m.Dim())
	require.Equal(t, 6, m.Height())
	require.Equal(t, 8, m.Width())
	require.Equal(t, 8, m.Transform().Width)
	require.True(t, m.Orient())
	require.Equal(t, runtime.CPU, m.Device())
	require.Equal(t, "tiny", m.Manifest().Name)
}

func TestUseAfterClose(t *testing.T) {
	t.Parallel()
	m, err := Open(tinyBundle, Options{Device: "cpu", Threads: 1})
	require.NoError(t, err)
	posts := randomPosts(m, 2, 1)
	in := posts.seen(t, m)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	_, err = m.Encode(t.Context(), in)
	require.ErrorIs(t, err, runtime.ErrClosed)
	require.ErrorIs(t, m.See(t.Context(), posts.images[0], in.Images[0]), runtime.ErrClosed)
}

func TestOpenErrorsOfTheRuntime(t *testing.T) {
	t.Parallel()
	_, err := Open(tinyBundle, Options{Device: "tpu"})
	require.ErrorContains(t, err, `device is "tpu"`)
	_, err = Open(tinyBundle, Options{Device: "cpu", Library: filepath.Join(t.TempDir(), "no.so")})
	require.ErrorContains(t, err, "there is no such file")
}
