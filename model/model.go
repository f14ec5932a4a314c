package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"slices"
	"sync"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/model/tokenize"
	"github.com/itrstream/itrstream/schemas"
)

// Options say how a bundle is run.
type Options struct {
	// Library is the path of ONNX Runtime's shared library; empty:
	// runtime.FindLibrary looks for it.
	Library string
	// Device is auto, cpu or cuda:N.
	Device string
	// Threads is how many cores the model may keep busy on the CPU, whatever
	// number of Encodes is under way; 0: all that Go uses (GOMAXPROCS).
	Threads int
	// Calibration is the path of a calibration file to use instead of the
	// bundle's own calibration; empty: none.
	Calibration string
	// NoMaps leaves the explaining graph out, 24 MB of itr-mini's 150 that
	// a stream of posts has no use for: Explain then fails.
	NoMaps bool
	// CacheBytes holds what the text tower made of the latest texts; 0: none.
	CacheBytes int64
	// Log gets a warning for each run of a graph that failed and is tried
	// again; nil drops it.
	Log     *slog.Logger
	Metrics *Metrics
}

// Model is an opened bundle. Its methods are safe for concurrent use.
type Model struct {
	manifest  Manifest
	digest    string
	refitted  string // digest of the calibration file, if there is one
	tokenizer tokenize.Tokenizer
	runtime   *runtime.Runtime

	text, image, head, explain graph

	ones        []int64 // max_tokens of them: the mask of a text without padding
	slots       *slots
	workers     int // graph runs that one Encode may have under way, and all Sees
	textChunk   int // texts a padded run, at most
	textRun     int // what a run of the text tower costs beside its tokens, in tokens
	imageChunk  int // images a run
	views       views
	remembered  *remembered
	metrics     *Metrics
	scratchPool sync.Pool
}

// graph is what Model asks of a session.
type graph interface {
	Run(ctx context.Context, inputs, outputs []runtime.Tensor) error
}

// How many rows share a graph run. On a CPU, small runs keep a tower's
// activations in the cache and spread over the cores; a GPU wants large ones.
// One image a run took 10 % longer than four, eight 2 % less
// (pipeline/docs/performance-model.md). BERT-base in 32-bit floats takes 28 ms a
// run and 1.4 ms a token, padding included, on one core. On a GPU nobody has
// measured it: there, runs are as large as they may be.
const (
	cpuImageChunk, cpuTextChunk   = 4, 8
	cudaImageChunk, cudaTextChunk = 64, 64
	cpuTextRun, cudaTextRun       = 20, 1 << 20
	cudaSlots                     = 2 // one run's copies hide behind the other's kernels
	headChunk                     = 256
)

// Open reads the bundle in the folder dir, compares every file with its
// digest, and runs each graph once, so that a bundle that does not fit its
// manifest fails here and not on the first post. The error lists every fault
// found. With NoMaps the explaining graph is compared but not run.
func Open(dir string, o Options) (*Model, error) {
	b, err := readBundle(dir)
	if err != nil {
		return nil, err
	}
	t := &b.manifest.Text
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Model{manifest: b.manifest, digest: b.digest, ones: slices.Repeat([]int64{1}, t.MaxTokens), metrics: o.Metrics}
	vocab, merges := bytes.NewReader(b.files[t.Tokenizer.Vocab]), bytes.NewReader(b.files[t.Tokenizer.Merges])
	m.tokenizer, err = tokenize.New(t.Tokenizer.Type, vocab, merges, t.Tokenizer.Lowercase, t.MaxTokens)
	if err != nil {
		return nil, fmt.Errorf("model: bundle %s: %s: %w", dir, t.Tokenizer.Vocab, err)
	}
	if o.Calibration != "" {
		if err := m.recalibrate(o.Calibration); err != nil {
			return nil, err
		}
	}
	if m.remembered, err = newRemembered(o.CacheBytes, t.Width); err != nil {
		return nil, err
	}
	m.runtime, err = runtime.Open(runtime.Options{Library: o.Library, Device: o.Device, Log: o.Log})
	if err != nil {
		return nil, err
	}
	m.size(o.Threads)
	if err := m.load(b, o); err != nil {
		return nil, errors.Join(fmt.Errorf("model: bundle %s: %w", dir, err), m.runtime.Close())
	}
	return m, nil
}

// size chooses how runs are cut and how many compute at once.
func (m *Model) size(threads int) {
	m.imageChunk, m.textChunk, m.textRun, m.workers = cudaImageChunk, cudaTextChunk, cudaTextRun, cudaSlots
	if !m.runtime.Device().IsCUDA() {
		if threads <= 0 {
			threads = goruntime.GOMAXPROCS(0)
		}
		m.imageChunk, m.textChunk, m.textRun, m.workers = cpuImageChunk, cpuTextChunk, cpuTextRun, threads
	}
	if m.manifest.Text.Batching == BatchSingle {
		m.textChunk = 1
	}
	m.slots = newSlots(m.workers)
}

// load makes the sessions and runs each once.
func (m *Model) load(b *bundle, o Options) error {
	ids := m.tokenizer.Encode(nil, "itrstream")
	tokens := []runtime.Tensor{row(ids), row(m.ones[:len(ids)])}
	pixels := make([]uint8, m.pixelBytes())
	image := m.pixelTensor(pixels, 1)
	text, seen := make([]float32, m.manifest.Text.Width), make([]float32, m.manifest.Image.Width)
	logits, similarity := make([]float32, schemas.Relations), make([]float32, 1)
	embedding, cam := make([]float32, m.Dim()), make([]float32, m.camSize())
	for _, g := range []struct {
		into            *graph
		called, name    string
		inputs, outputs []string
		in, out         []runtime.Tensor
	}{
		{&m.text, textGraph, m.manifest.Text.Graph, []string{"input_ids", "attention_mask"}, []string{"text"}, tokens, []runtime.Tensor{row(text)}},
		{&m.image, imageGraph, m.manifest.Image.Graph, []string{"pixels"}, []string{"image"}, []runtime.Tensor{image}, []runtime.Tensor{row(seen)}},
		{
			&m.head, headGraph, m.manifest.Head.Graph,
			[]string{"text", "image"},
			[]string{"logits", "similarity", "embedding"},
			[]runtime.Tensor{row(text), row(seen)},
			[]runtime.Tensor{row(logits), runtime.NewTensor(similarity, 1), row(embedding)},
		},
		{&m.explain, explainGraph, m.manifest.Explain.Graph, []string{"pixels", "text"}, []string{"cam"}, []runtime.Tensor{image, row(text)}, []runtime.Tensor{m.camTensor(cam)}},
	} {
		if o.NoMaps && g.called == explainGraph {
			continue
		}
		session, err := m.runtime.Session(g.name, b.files[g.name], g.inputs, g.outputs)
		if err != nil {
			return err
		}
		delete(b.files, g.name)
		if err := session.Warm(g.in, g.out); err != nil {
			return fmt.Errorf("%w (does the graph have the names and widths of the manifest?)", err)
		}
		*g.into = &patient{graph: o.Metrics.timed(g.called, session), name: g.name, log: o.Log, metrics: o.Metrics}
	}
	return nil
}

// row is a batch of one vector.
func row[T int64 | float32](data []T) runtime.Tensor {
	return runtime.NewTensor(data, 1, int64(len(data)))
}

func (m *Model) pixelBytes() int { return m.manifest.Image.Height * m.manifest.Image.WidthPixels * 3 }

func (m *Model) pixelTensor(data []uint8, n int) runtime.Tensor {
	return runtime.NewTensor(data, int64(n), int64(m.manifest.Image.Height), int64(m.manifest.Image.WidthPixels), 3)
}

func (m *Model) camSize() int {
	return schemas.Relations * m.manifest.Explain.Height * m.manifest.Explain.Width
}

func (m *Model) camTensor(data []float32) runtime.Tensor {
	return runtime.NewTensor(data, 1, schemas.Relations, int64(m.manifest.Explain.Height), int64(m.manifest.Explain.Width))
}

// Close frees the graphs, after the runs that are under way.
func (m *Model) Close() error { return m.runtime.Close() }

// Manifest returns what the bundle says of itself.
func (m *Model) Manifest() Manifest { return m.manifest }

// Digest returns the bundle's digest: the SHA-256 of its manifest, which holds
// the digests of all its other files.
func (m *Model) Digest() string { return m.digest }

// recalibrate puts the calibration of a file in the place of the bundle's.
func (m *Model) recalibrate(path string) error {
	f, digest, err := ReadCalibration(path)
	if err != nil {
		return err
	}
	if f.Bundle != m.digest {
		return fmt.Errorf("model: calibration %s was fitted for the bundle %s, and this is %s: fit it again with itrstream model calibrate",
			path, f.Bundle, m.digest)
	}
	m.manifest.Calibration, m.refitted = f.Calibration, digest
	return nil
}

// CalibrationDigest returns the digest of the calibration file that takes the
// place of the bundle's calibration; empty when none does.
func (m *Model) CalibrationDigest() string { return m.refitted }

// Ref names the bundle in results.
func (m *Model) Ref() schemas.ModelRef {
	return schemas.ModelRef{Name: m.manifest.Name, Version: m.manifest.Version, Digest: m.digest}
}

// Device returns where the graphs run.
func (m *Model) Device() runtime.Device { return m.runtime.Device() }

// Dim returns the width of embeddings.
func (m *Model) Dim() int { return m.manifest.Head.Embedding }

// Transform returns the way from a picture to the pixels that Encode takes.
func (m *Model) Transform() pixels.Transform { return m.manifest.Image.transform() }

// Orient reports whether pictures are turned upright as their EXIF
// orientation says.
func (m *Model) Orient() bool { return m.manifest.Image.Exif == "apply" }

// Height returns the height of Encode's images in pixels.
func (m *Model) Height() int { return m.manifest.Image.Height }

// Width returns the width of Encode's images in pixels.
func (m *Model) Width() int { return m.manifest.Image.WidthPixels }
