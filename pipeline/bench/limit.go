package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	ort "github.com/yalue/onnxruntime_go"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/pixels"
	modelruntime "github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/model/tokenize"
	"github.com/itrstream/itrstream/schemas"
)

// The limit is the bundle's graphs in a bare loop of ONNX Runtime, on as many
// threads and as many rows a run as the pipeline takes, with nothing around it:
// no Kafka, no Redis, no batches, nobody who waits for somebody.
const (
	limitGraphs = "graphs" // on tensors that are ready
	limitPhotos = "photos" // JPEG files are decoded and scaled first
)

// limitRows is how many pairs share a run of the image tower and of the head,
// as in package model on a CPU; texts go alone.
const limitRows = 4

// limit measures the limit in a process of its own.
func (b *bench) limit(ctx context.Context, what string, s stream) (figures, error) {
	b.say("limit: %s of %s", what, s.Name)
	cmd := exec.CommandContext(ctx, b.self, "limit", "--what", what, "--stream", s.Name, "--bundle", b.bundle, "--photos", b.photos, "--span", b.span.String()) //nolint:gosec // ourselves
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return figures{}, fmt.Errorf("limit: %w", err)
	}
	var got struct{ Rate, CPU, PeakMB float64 }
	if err := json.Unmarshal(out, &got); err != nil {
		return figures{}, fmt.Errorf("limit: %w", err)
	}
	b.say("  %s posts/s, %s ms a post", short(got.Rate), short(got.CPU))
	return figures{rate: got.Rate, cpu: got.CPU, peakMB: got.PeakMB}, nil
}

func limitCommand() *cobra.Command {
	var what, name, bundle, photos string
	var span time.Duration
	cmd := &cobra.Command{
		Use:    "limit",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := streamNamed(name)
			if err != nil {
				return err
			}
			w, err := newWriter(s, photos)
			if err != nil {
				return err
			}
			l, err := openLimit(bundle, w, what == limitPhotos)
			if err != nil {
				return err
			}
			rate, cpu, err := l.run(span)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(map[string]float64{"Rate": rate, "CPU": cpu, "PeakMB": usage(os.Getpid()).peakMB()})
		},
	}
	cmd.Flags().StringVar(&what, "what", limitGraphs, "graphs or photos")
	cmd.Flags().StringVar(&name, "stream", mixStream.Name, "which photos")
	cmd.Flags().StringVar(&bundle, "bundle", "", "model folder")
	cmd.Flags().StringVar(&photos, "photos", "", "folder with photos")
	cmd.Flags().DurationVar(&span, "span", time.Second, "how long")
	return cmd
}

// limitLoop is the loop's graphs and what they are run on.
type limitLoop struct {
	writer            *writer
	decode            bool
	manifest          model.Manifest
	text, image, head *ort.DynamicAdvancedSession
	tokens            [][]int64 // of all texts
	pixels            []uint8   // of limitRows photos, ready
	transform         pixels.Transform
	next              atomic.Int64
	imageSize         int
	bundle            string
}

func openLimit(bundle string, w *writer, decode bool) (*limitLoop, error) {
	// Open checks the bundle and knows what of the manifest is not plain data.
	m, err := model.Open(bundle, model.Options{Device: "cpu"})
	if err != nil {
		return nil, err
	}
	l := &limitLoop{writer: w, decode: decode, manifest: m.Manifest(), transform: m.Transform(), imageSize: m.Transform().Size(), bundle: bundle}
	if err := m.Close(); err != nil {
		return nil, err
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
		if *g.session, err = bareSession(filepath.Join(bundle, g.file), g.in, g.out); err != nil {
			return nil, err
		}
	}
	return l, errors.Join(l.tokenize(), l.ready())
}

func bareSession(path string, in, out []string) (*ort.DynamicAdvancedSession, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy() //nolint:errcheck // its session has what it needs
	if err := errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1)); err != nil {
		return nil, err
	}
	return ort.NewDynamicAdvancedSession(path, in, out, options)
}

// tokenize makes the texts' ids ahead.
func (l *limitLoop) tokenize() error {
	t := l.manifest.Text
	vocabulary, err := os.ReadFile(filepath.Join(l.bundle, t.Tokenizer.Vocab))
	if err != nil {
		return err
	}
	merges := []byte{}
	if t.Tokenizer.Merges != "" {
		if merges, err = os.ReadFile(filepath.Join(l.bundle, t.Tokenizer.Merges)); err != nil {
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
	return nil
}

// ready decodes the first photos.
func (l *limitLoop) ready() error {
	l.pixels = make([]uint8, limitRows*l.imageSize)
	for i := range limitRows {
		if err := l.draw(l.pixels[i*l.imageSize:(i+1)*l.imageSize], l.writer.photo(i)); err != nil {
			return err
		}
	}
	return nil
}

// draw decodes and scales a photo as the pipeline does.
func (l *limitLoop) draw(to, file []byte) error {
	im, err := pixels.Decode(file, pixels.Limits{MaxBytes: 1 << 30, MaxPixels: 1 << 30, MaxSide: 1 << 16}, l.manifest.Image.Exif == "apply")
	if err != nil {
		return err
	}
	defer im.Release()
	return l.transform.Apply(to, im)
}

// run loops on every core, and returns posts a second and milliseconds of
// processor time a post.
func (l *limitLoop) run(span time.Duration) (rate, cpu float64, err error) {
	threads := runtime.GOMAXPROCS(0)
	errs := make([]error, threads)
	var done atomic.Int64
	loop := func(until time.Time) {
		var group sync.WaitGroup
		for i := range threads {
			group.Go(func() {
				buf := make([]uint8, limitRows*l.imageSize)
				for time.Now().Before(until) && errs[i] == nil {
					errs[i] = l.once(int(l.next.Add(limitRows))-limitRows, buf)
					done.Add(limitRows)
				}
			})
		}
		group.Wait()
	}
	loop(time.Now().Add(span / 8)) // warm
	done.Store(0)
	began, before := time.Now(), processorTime()
	loop(began.Add(span))
	n := float64(done.Load())
	return n / time.Since(began).Seconds(), float64((processorTime() - before).Microseconds()) / 1000 / n, errors.Join(errs...)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail on ourselves
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// once relates limitRows posts, from post n on.
func (l *limitLoop) once(n int, buf []uint8) error {
	images := l.pixels
	if l.decode {
		images = buf
		for i := range limitRows {
			if err := l.draw(buf[i*l.imageSize:(i+1)*l.imageSize], l.writer.photo(n+i)); err != nil {
				return err
			}
		}
	}
	textWidth, imageWidth := l.manifest.Text.Width, l.manifest.Image.Width
	texts, seen := make([]float32, limitRows*textWidth), make([]float32, limitRows*imageWidth)
	for i := range limitRows {
		ids := l.tokens[(n+i)%len(l.tokens)]
		mask := make([]int64, len(ids))
		for j := range mask {
			mask[j] = 1
		}
		if err := runBare(l.text,
			[]tensor{of(ids, 1, len(ids)), of(mask, 1, len(ids))},
			[]tensor{of(texts[i*textWidth:(i+1)*textWidth], 1, textWidth)}); err != nil {
			return err
		}
	}
	if err := runBare(l.image,
		[]tensor{of(images, limitRows, l.manifest.Image.Height, l.manifest.Image.WidthPixels, 3)},
		[]tensor{of(seen, limitRows, imageWidth)}); err != nil {
		return err
	}
	return runBare(l.head,
		[]tensor{of(texts, limitRows, textWidth), of(seen, limitRows, imageWidth)},
		[]tensor{
			of(make([]float32, limitRows*schemas.Relations), limitRows, schemas.Relations), of(make([]float32, limitRows), limitRows),
			of(make([]float32, limitRows*l.manifest.Head.Embedding), limitRows, l.manifest.Head.Embedding),
		})
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

// limitPart compares the pipeline with the limit, photos of one size at a time
// and mixed.
func limitPart(ctx context.Context, b *bench) error {
	const part = "1 limit"
	for _, s := range []stream{streamOf(small), streamOf(social), streamOf(phone), mixStream} {
		n := b.backlog(s)
		topic := "limit-" + s.Name
		if err := b.fill(ctx, topic, s, n); err != nil {
			return err
		}
		for range b.repeat {
			graphs, err := b.limit(ctx, limitGraphs, s)
			if err != nil {
				return err
			}
			photos, err := b.limit(ctx, limitPhotos, s)
			if err != nil {
				return err
			}
			ours, err := b.drain(ctx, b.ours("exactly_once"), topic, n)
			if err != nil {
				return err
			}
			name := strings.ReplaceAll(s.Name, "mix", "the mix")
			b.table.add(about{part, "pipeline ÷ graphs alone, " + name, "posts/s", goal{}, ""}, ours.rate, graphs.rate)
			b.table.add(about{part, "pipeline ÷ JPEG decode and graphs, " + name, "posts/s", goal{atLeast: 0.97}, ""}, ours.rate, photos.rate)
			b.table.add(about{part, "pipeline ÷ JPEG decode and graphs, " + name, "CPU ms/post", goal{}, ""}, ours.cpu, photos.cpu)
		}
		b.deleteTopic(ctx, topic)
	}
	return nil
}
