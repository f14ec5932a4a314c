package infer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/model/tokenize"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

// BenchmarkPairs compares pairs a second of the shipped bundle: its graphs in
// a bare loop on ready tensors (limit), See and Encode of the model (model), and
// this stage, which has no image tower, with four batches on their way.
//
//	go test -run - -bench Pairs -benchtime 3s -count 5 ./stages/infer
func BenchmarkPairs(b *testing.B) {
	const bundle = "../../model/bundles/itr-mini"
	m, err := model.Open(bundle, model.Options{Device: "cpu"})
	require.NoError(b, err)
	defer func() { require.NoError(b, m.Close()) }()
	posts := newBenchPosts(m.Transform().Size(), 32)
	b.Run("limit", func(b *testing.B) { benchLimit(b, bundle, m.Manifest(), posts) })
	b.Run("model", func(b *testing.B) { benchModel(b, m, posts) })
	b.Run("stage", func(b *testing.B) { benchStage(b, m, posts, posts.see(b, m)) })
}

// still is an encoder that takes no time.
type still struct{ out model.Output }

func (still) Dim() int { return 768 }

func (still) Read(context.Context, []string) error { return nil }

func (s still) Encode(_ context.Context, in model.Input) (model.Output, error) {
	n := len(in.Texts)
	return model.Output{Scores: s.out.Scores[:n*schemas.Relations], Similarity: s.out.Similarity[:n], Embedding: s.out.Embedding[:n*768]}, nil
}

// BenchmarkStageAlone is what the stage itself costs: four batches of 32 pairs
// on their way, and a model that takes no time.
func BenchmarkStageAlone(b *testing.B) {
	const most = 32
	const width = 2286
	p := newBenchPosts(1, most)
	encoder := still{model.Output{
		Scores: make([]float32, most*schemas.Relations), Similarity: make([]float32, most), Embedding: make([]float32, most*768),
	}}
	benchStage(b, encoder, p, make([]float32, width*most))
}

// benchPosts are posts of one image each, with texts as long as tweets.
type benchPosts struct {
	texts  []string
	pixels []uint8 // of all images
	size   int     // of one
}

func newBenchPosts(size, n int) benchPosts {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the old bridge over river at night looks like this again today and we are here with friends")
	p := benchPosts{size: size}
	p.pixels = make([]uint8, n*p.size)
	for i := range p.pixels {
		p.pixels[i] = uint8(random.Uint32())
	}
	for range n {
		text := make([]string, 8+random.IntN(20))
		for i := range text {
			text[i] = words[random.IntN(len(words))]
		}
		p.texts = append(p.texts, strings.Join(text, " "))
	}
	return p
}

func (p benchPosts) image(i int) []uint8 { return p.pixels[i*p.size : (i+1)*p.size] }

// measure does what the benchmark repeats, and reports pairs a second and the
// processor time of a pair, which tells more on a machine that others use too.
func measure(b *testing.B, pairs int, do func()) {
	b.Helper()
	do()
	began := processorTime(b)
	for b.Loop() {
		do()
	}
	pairs *= b.N
	b.ReportMetric(float64(pairs)/b.Elapsed().Seconds(), "pairs/s")
	b.ReportMetric(float64((processorTime(b)-began).Microseconds())/1000/float64(pairs), "cpu-ms/pair")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchLimit runs the graphs on every core, in the chunks that Encode uses.
func benchLimit(b *testing.B, bundle string, mf model.Manifest, p benchPosts) {
	const chunk = 4
	r, err := runtime.Open(runtime.Options{Device: "cpu"})
	require.NoError(b, err)
	defer func() { require.NoError(b, r.Close()) }()
	session := func(name string, in, out []string) *runtime.Session {
		graph, err := os.ReadFile(filepath.Join(bundle, name))
		require.NoError(b, err)
		s, err := r.Session(name, graph, in, out)
		require.NoError(b, err)
		return s
	}
	text := session(mf.Text.Graph, []string{"input_ids", "attention_mask"}, []string{"text"})
	image := session(mf.Image.Graph, []string{"pixels"}, []string{"image"})
	head := session(mf.Head.Graph, []string{"text", "image"}, []string{"logits", "similarity", "embedding"})
	vocab, err := os.Open(filepath.Join(bundle, mf.Text.Tokenizer.Vocab))
	require.NoError(b, err)
	defer func() { _ = vocab.Close() }()
	tokens, err := tokenize.NewWordPiece(vocab, mf.Text.Tokenizer.Lowercase, mf.Text.MaxTokens)
	require.NoError(b, err)

	type ready struct {
		s       *runtime.Session
		in, out []runtime.Tensor
	}
	n, width := len(p.texts), int64(mf.Text.Width)
	texts, images := make([]float32, n*mf.Text.Width), make([]float32, n*mf.Image.Width)
	var runs []ready
	for i := 0; i < n; i += chunk {
		runs = append(runs, ready{
			image,
			[]runtime.Tensor{runtime.NewTensor(p.pixels[i*p.size:(i+chunk)*p.size], chunk, int64(mf.Image.Height), int64(mf.Image.WidthPixels), 3)},
			[]runtime.Tensor{runtime.NewTensor(images[i*mf.Image.Width:(i+chunk)*mf.Image.Width], chunk, int64(mf.Image.Width))},
		})
	}
	for i, t := range p.texts {
		ids := tokens.Encode(nil, t)
		mask := make([]int64, len(ids))
		for j := range mask {
			mask[j] = 1
		}
		runs = append(runs, ready{
			text,
			[]runtime.Tensor{runtime.NewTensor(ids, 1, int64(len(ids))), runtime.NewTensor(mask, 1, int64(len(ids)))},
			[]runtime.Tensor{runtime.NewTensor(texts[i*mf.Text.Width:(i+1)*mf.Text.Width], 1, width)},
		})
	}
	rows := int64(n)
	runs = append(runs, ready{
		head,
		[]runtime.Tensor{runtime.NewTensor(texts, rows, width), runtime.NewTensor(images, rows, int64(mf.Image.Width))},
		[]runtime.Tensor{
			runtime.NewTensor(make([]float32, n*schemas.Relations), rows, schemas.Relations),
			runtime.NewTensor(make([]float32, n), rows),
			runtime.NewTensor(make([]float32, n*mf.Head.Embedding), rows, int64(mf.Head.Embedding)),
		},
	})
	measure(b, n, func() {
		var next atomic.Int64
		var group sync.WaitGroup
		for range goruntime.GOMAXPROCS(0) {
			group.Go(func() {
				for i := int(next.Add(1)) - 1; i < len(runs); i = int(next.Add(1)) - 1 {
					if err := runs[i].s.Run(context.Background(), runs[i].in, runs[i].out); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
	})
}

// see shows all images to the model at once.
func (p benchPosts) see(b *testing.B, m *model.Model) []float32 {
	vectors := make([]float32, len(p.texts)*m.ImageWidth())
	var group sync.WaitGroup
	for i := range p.texts {
		group.Go(func() {
			if err := m.See(b.Context(), p.image(i), vectors[i*m.ImageWidth():(i+1)*m.ImageWidth()]); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	return vectors
}

func benchModel(b *testing.B, m *model.Model, p benchPosts) {
	measure(b, len(p.texts), func() {
		vectors := p.see(b, m)
		in := model.Input{Texts: p.texts}
		for i := range p.texts {
			in.Images = append(in.Images, vectors[i*m.ImageWidth():(i+1)*m.ImageWidth()])
		}
		_, err := m.Encode(b.Context(), in)
		require.NoError(b, err)
	})
}

// benchStage relates posts whose images the model has seen.
func benchStage(b *testing.B, m Encoder, p benchPosts, vectors []float32) {
	const callers = 4
	stage, err := New(DefaultConfig(), Settings{Encoder: m, Alloc: memory.DefaultAllocator})
	require.NoError(b, err)
	defer stage.Close()
	batch := p.batch(b, vectors)
	defer batch.Release()
	measure(b, callers*len(p.texts), func() {
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				batch.Posts().Retain()
				batch.Pairs().Retain()
				mine := schemas.NewBatch(batch.Partition, batch.Offsets, batch.Posts())
				mine.SetPairs(batch.Pairs())
				defer mine.Release()
				if err := stage.Process(b.Context(), mine); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
	})
}

func (p benchPosts) batch(b *testing.B, vectors []float32) *schemas.Batch {
	var posts, pairs []string
	width := len(vectors) / len(p.texts)
	images := array.NewFixedSizeListBuilder(memory.DefaultAllocator, int32(width), arrow.PrimitiveTypes.Float32)
	defer images.Release()
	digests := array.NewFixedSizeBinaryBuilder(memory.DefaultAllocator, &arrow.FixedSizeBinaryType{ByteWidth: 32})
	defer digests.Release()
	reasons := array.NewStringBuilder(memory.DefaultAllocator)
	defer reasons.Release()
	for i, t := range p.texts {
		posts = append(posts, fmt.Sprintf(`{"post_id": "%d", "post_text": %q}`, i, t))
		pairs = append(pairs, fmt.Sprintf(`{"pair_post": %d, "pair_index": 0}`, i))
		images.Append(true)
		images.ValueBuilder().(*array.Float32Builder).AppendValues(vectors[i*width:(i+1)*width], nil)
		digest := make([]byte, 32)
		digest[0] = byte(i)
		digests.Append(digest)
		reasons.AppendNull()
	}
	batch := schematest.Decoded(b, memory.DefaultAllocator, posts, pairs)
	failures := reasons.NewArray()
	failures.Retain()
	batch.AddPairs(schemas.MediaFields(width), []arrow.Array{images.NewArray(), digests.NewArray(), failures, failures})
	return batch
}
