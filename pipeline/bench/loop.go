package main

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/pixels"
	modelruntime "github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/model/tokenize"
	"github.com/itrstream/itrstream/schemas"
)

// bareLoop relates posts on every core, as fast as is known: each graph run is on
// one thread and on as many rows as a trial found best, texts beside others of
// their length.
type bareLoop struct {
	writer            *writer
	what              string
	manifest          model.Manifest
	drawing           pixels.Drawing
	text, image, head *ort.DynamicAdvancedSession
	runs              chan struct{} // graph runs at once
	group             int           // posts of a turn
	imageRows         int           // of a run
	textRows          int
	tokens            [][]int64 // of all texts, in stretches the longest first
	ready             []uint8   // pixels of a group, of no photo
	pixels            int       // bytes of one photo's
	next              atomic.Int64
}

// Posts of a turn, on the CPU and on a GPU: the rows of runs divide them.
const cpuGroup, cudaGroup = 16, 64

// Texts are sorted by length over so many.
const sortedTexts = 64

// openLoop makes the graphs ready, and chooses rows.
func openLoop(bundle, device, what string, w *writer) (*bareLoop, error) {
	manifest, _, err := model.Inspect(bundle)
	if err != nil {
		return nil, err
	}
	l := &bareLoop{writer: w, what: what, manifest: manifest, group: cpuGroup, pixels: 3 * manifest.Image.Height * manifest.Image.WidthPixels}
	if what != limitGraphs {
		m, err := model.Open(bundle, model.Options{Device: "cpu"}) // it knows what of the manifest is not plain data
		if err != nil {
			return nil, err
		}
		l.drawing = drawingOf(m)
		if err := m.Close(); err != nil {
			return nil, err
		}
	}
	cuda := strings.HasPrefix(device, "cuda")
	cores := runtime.GOMAXPROCS(0)
	l.runs = make(chan struct{}, cores)
	if cuda {
		l.group, l.runs = cudaGroup, make(chan struct{}, 2) // one run's copies hide behind the other's kernels
	}
	library, err := modelruntime.FindLibrary("")
	if err != nil {
		return nil, err
	}
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return nil, err
	}
	for _, g := range []struct {
		session **ort.DynamicAdvancedSession
		file    string
		in, out []string
	}{
		{&l.text, l.manifest.Text.Graph, []string{"input_ids", "attention_mask"}, []string{"text"}},
		{&l.image, l.manifest.Image.Graph, []string{"pixels"}, []string{"image"}},
		{&l.head, l.manifest.Head.Graph, []string{"text", "image"}, []string{"logits", "similarity", "embedding"}},
	} {
		if *g.session, err = bareSession(filepath.Join(bundle, g.file), cuda, g.in, g.out); err != nil {
			return nil, err
		}
	}
	l.ready = make([]uint8, l.group*l.pixels)
	random := newRandom(1, 1)
	for i := range l.ready {
		l.ready[i] = byte(random.IntN(1 << 8)) //nolint:gosec // it fits
	}
	if err := l.tokenize(bundle); err != nil {
		return nil, err
	}
	l.imageRows, l.textRows = l.group, l.group
	if !cuda {
		err = l.tryRows()
	} else if l.manifest.Text.Batching == model.BatchSingle {
		l.textRows = 1
	}
	return l, err
}

func bareSession(path string, cuda bool, in, out []string) (*ort.DynamicAdvancedSession, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy() //nolint:errcheck // its session has what it needs
	if err := errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1)); err != nil {
		return nil, err
	}
	if !cuda {
		// As the pipeline has it: less memory, and no slower.
		if err := options.SetMemPattern(false); err != nil {
			return nil, err
		}
	} else {
		provider, err := ort.NewCUDAProviderOptions()
		if err != nil {
			return nil, err
		}
		defer provider.Destroy() //nolint:errcheck // as above
		if err := options.AppendExecutionProviderCUDA(provider); err != nil {
			return nil, err
		}
	}
	return ort.NewDynamicAdvancedSession(path, in, out, options)
}

// tokenize makes the texts' ids ahead.
func (l *bareLoop) tokenize(bundle string) error {
	t := l.manifest.Text
	vocabulary, err := os.ReadFile(filepath.Join(bundle, t.Tokenizer.Vocab)) //nolint:gosec // the user's own bundle
	if err != nil {
		return err
	}
	merges := []byte{}
	if t.Tokenizer.Merges != "" {
		if merges, err = os.ReadFile(filepath.Join(bundle, t.Tokenizer.Merges)); err != nil { //nolint:gosec // as above
			return err
		}
	}
	tokenizer, err := tokenize.New(t.Tokenizer.Type, bytes.NewReader(vocabulary), bytes.NewReader(merges), t.Tokenizer.Lowercase, t.MaxTokens)
	if err != nil {
		return err
	}
	for _, text := range l.writer.texts {
		l.tokens = append(l.tokens, tokenizer.Encode(nil, text))
	}
	for group := range slices.Chunk(l.tokens, sortedTexts) {
		slices.SortFunc(group, func(a, b []int64) int { return cmp.Compare(len(b), len(a)) })
	}
	return nil
}

// decode decodes and scales a group's photos as the pipeline does.
func (l *bareLoop) decode(n int, to []uint8) error {
	size := l.pixels
	for i := range l.group {
		if err := l.drawing.Draw(to[i*size:(i+1)*size], l.writer.original(n+i)); err != nil {
			return err
		}
	}
	return nil
}

// drawingOf draws what the pipeline draws, by the same code, however large it is.
func drawingOf(m *model.Model) pixels.Drawing {
	return pixels.Drawing{Limits: pixels.Limits{MaxBytes: 1 << 30, MaxPixels: 1 << 30, MaxSide: 1 << 16}, Orient: m.Orient(), Transform: m.Transform()}
}

// tryRows finds how many rows a run is best given.
func (l *bareLoop) tryRows() error {
	for _, tower := range []struct {
		rows *int
		run  func(n, count int) error
	}{
		{&l.imageRows, func(_, count int) error { return l.see(count, l.ready, make([]float32, count*l.manifest.Image.Width)) }},
		{&l.textRows, func(n, count int) error { return l.read(n, count, make([]float32, count*l.manifest.Text.Width)) }},
	} {
		best, fastest := 0, 0.0
		for _, rows := range []int{1, 2, 4, 8} {
			*tower.rows = rows
			rate, _, err := l.loop(400*time.Millisecond, 8, func(n int) error { return tower.run(n, 8) })
			if err != nil {
				return err
			}
			if rate > fastest {
				best, fastest = rows, rate
			}
			if tower.rows == &l.textRows && l.manifest.Text.Batching == model.BatchSingle {
				break // no other text may be beside it
			}
		}
		*tower.rows = best
	}
	return nil
}

// measure loops, and returns posts a second and milliseconds of processor
// time a post.
func (l *bareLoop) measure(span time.Duration) (rate, cpu float64, err error) {
	turn := map[string]func(int) error{
		limitGraphs: func(n int) error { return l.relate(n, l.ready) },
		limitDecode: func(n int) error { return l.decode(n, make([]uint8, len(l.ready))) },
		limitPhotos: func(n int) error {
			images := make([]uint8, len(l.ready))
			return errors.Join(l.decode(n, images), l.relate(n, images))
		},
	}[l.what]
	if _, _, err := l.loop(span/8, l.group, turn); err != nil { // warm
		return 0, 0, err
	}
	return l.loop(span, l.group, turn)
}

// loop takes turns of so many posts on every core. Those that go on beyond the span count with
// the time that they take, all threads' time together.
func (l *bareLoop) loop(span time.Duration, posts int, turn func(n int) error) (rate, cpu float64, err error) {
	threads := runtime.GOMAXPROCS(0)
	errs, rates := make([]error, threads), make([]float64, threads)
	var done atomic.Int64
	began, before := time.Now(), processorTime()
	var all sync.WaitGroup
	for i := range threads {
		all.Go(func() {
			turns := 0
			for time.Since(began) < span && errs[i] == nil {
				errs[i] = turn(int(l.next.Add(int64(posts))) - posts)
				turns++
			}
			done.Add(int64(turns * posts))
			rates[i] = float64(turns*posts) / time.Since(began).Seconds()
		})
	}
	all.Wait()
	for _, r := range rates {
		rate += r
	}
	return rate, float64((processorTime() - before).Microseconds()) / 1000 / float64(done.Load()), errors.Join(errs...)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail on ourselves
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// relate runs the graphs on a group, from post n on.
func (l *bareLoop) relate(n int, images []uint8) error {
	l.runs <- struct{}{}
	defer func() { <-l.runs }()
	texts, seen := make([]float32, l.group*l.manifest.Text.Width), make([]float32, l.group*l.manifest.Image.Width)
	if err := errors.Join(l.see(l.group, images, seen), l.read(n, l.group, texts)); err != nil {
		return err
	}
	d := l.manifest.Head.Embedding
	return runBare(l.head,
		[]tensor{of(texts, l.group, l.manifest.Text.Width), of(seen, l.group, l.manifest.Image.Width)},
		[]tensor{
			of(make([]float32, l.group*schemas.Relations), l.group, schemas.Relations), of(make([]float32, l.group), l.group),
			of(make([]float32, l.group*d), l.group, d),
		})
}

func (l *bareLoop) see(count int, images []uint8, out []float32) error {
	m, size, rows := l.manifest.Image, l.pixels, l.imageRows
	for i := 0; i < count; i += rows {
		if err := runBare(l.image,
			[]tensor{of(images[i*size:(i+rows)*size], rows, m.Height, m.WidthPixels, 3)},
			[]tensor{of(out[i*m.Width:(i+rows)*m.Width], rows, m.Width)}); err != nil {
			return err
		}
	}
	return nil
}

func (l *bareLoop) read(n, count int, out []float32) error {
	width, rows := l.manifest.Text.Width, l.textRows
	group := l.tokens[n%len(l.tokens):][:count]
	for i := 0; i < count; i += rows {
		longest := len(group[i])
		ids, mask := make([]int64, rows*longest), make([]int64, rows*longest)
		for j, tokens := range group[i : i+rows] {
			copy(ids[j*longest:], tokens)
			for k := range tokens {
				mask[j*longest+k] = 1
			}
		}
		if err := runBare(l.text,
			[]tensor{of(ids, rows, longest), of(mask, rows, longest)},
			[]tensor{of(out[i*width:(i+rows)*width], rows, width)}); err != nil {
			return err
		}
	}
	return nil
}

// tensor makes a value of ONNX Runtime over a slice.
type tensor func() (ort.Value, error)

func of[T uint8 | int64 | float32](data []T, shape ...int) tensor {
	return func() (ort.Value, error) {
		s := make(ort.Shape, len(shape))
		for i, n := range shape {
			s[i] = int64(n)
		}
		return ort.NewTensor(s, data)
	}
}

func runBare(s *ort.DynamicAdvancedSession, in, out []tensor) error {
	values := [2][]ort.Value{}
	for i, tensors := range [][]tensor{in, out} {
		for _, t := range tensors {
			v, err := t()
			if err != nil {
				return err
			}
			defer v.Destroy() //nolint:errcheck // its memory is ours
			values[i] = append(values[i], v)
		}
	}
	return s.Run(values[0], values[1])
}
