package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/model/tokenize"
	"github.com/itrstream/itrstream/schemas"
)

// ManifestFile is the name of a bundle's manifest, the one file of a bundle
// whose digest stands nowhere in it: it is the bundle's own.
const ManifestFile = "bundle.yaml"

// manifestFormat is the format of manifests that this code reads.
const manifestFormat = 1

// Manifest is what bundle.yaml says.
type Manifest struct {
	Format  int    `yaml:"format"`
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Variant string `yaml:"variant"`

	Text    TextTower  `yaml:"text"`
	Image   ImageTower `yaml:"image"`
	Head    Head       `yaml:"head"`
	Explain Explain    `yaml:"explain"`

	// Labels names the relations in the order of the logits.
	Labels      []string    `yaml:"labels"`
	Calibration Calibration `yaml:"calibration"`

	Licences []Licence `yaml:"licences"`
	Metrics  []Metric  `yaml:"metrics"`

	// Files maps every file of the bundle but the manifest, by its path with
	// slashes, to its SHA-256 in hexadecimal.
	Files map[string]string `yaml:"files"`
}

// TextTower is the graph input_ids, attention_mask int64[B,T] → text
// float32[B,Width].
type TextTower struct {
	Graph     string    `yaml:"graph"`
	Width     int       `yaml:"width"`
	Batching  Batching  `yaml:"batching"`
	MaxTokens int       `yaml:"max_tokens"`
	Tokenizer Tokenizer `yaml:"tokenizer"`
}

// Batching says which texts may share a run of the text tower.
type Batching string

// Batchings.
const (
	// BatchSingle runs each text alone and without padding: the tower scales its
	// activations over the whole tensor, so that batch-mates would change a row.
	BatchSingle Batching = "single"
	// BatchPadded runs several texts, padded to the longest and masked.
	BatchPadded Batching = "padded"
)

// Tokenizer says how text becomes ids. Type is one of tokenize.Types; all but
// wordpiece have a file of merges beside the vocabulary, and none but it
// Lowercase.
type Tokenizer struct {
	Type      string `yaml:"type"`
	Vocab     string `yaml:"vocab"`
	Merges    string `yaml:"merges,omitempty"`
	Lowercase bool   `yaml:"lowercase"`
}

// ImageTower is the graph pixels uint8[B,Height,WidthPixels,3] → image
// float32[B,Width]. The graph normalises with Mean and Std itself; they are
// here for readers.
type ImageTower struct {
	Graph        string    `yaml:"graph"`
	Width        int       `yaml:"width"`
	Height       int       `yaml:"height"`
	WidthPixels  int       `yaml:"width_pixels"`
	Resize       string    `yaml:"resize"`
	Fit          string    `yaml:"fit"`
	ShortestEdge int       `yaml:"shortest_edge,omitempty"`
	Exif         string    `yaml:"exif"`
	Mean         []float64 `yaml:"mean"`
	Std          []float64 `yaml:"std"`
}

// Head is the graph text, image → logits float32[B,4], similarity float32[B],
// embedding float32[B,Embedding].
type Head struct {
	Graph     string `yaml:"graph"`
	Embedding int    `yaml:"embedding"`
}

// Explain is the graph pixels, text → cam float32[B,4,Height,Width].
type Explain struct {
	Graph  string `yaml:"graph"`
	Height int    `yaml:"height"`
	Width  int    `yaml:"width"`
}

// Calibration turns logits into probabilities: softmax(Matrix·logits + Bias).
type Calibration struct {
	Matrix [schemas.Relations][schemas.Relations]float64 `yaml:"matrix,flow"`
	Bias   [schemas.Relations]float64                    `yaml:"bias,flow"`
	// Source says what it was fitted to.
	Source string `yaml:"source"`
}

// Licence is what one part of the bundle comes from and under which terms.
type Licence struct {
	Part    string `yaml:"part"`
	Source  string `yaml:"source"`
	Licence string `yaml:"licence"`
}

// Metric is one measured figure of the bundle's quality.
type Metric struct {
	Name  string  `yaml:"name"`
	Value float64 `yaml:"value"`
	Data  string  `yaml:"data"`
	Split string  `yaml:"split"`
	Seeds []int   `yaml:"seeds"`
	Note  string  `yaml:"note"`
}

// ParseManifest reads bundle.yaml. The error lists every fault.
func ParseManifest(data []byte) (Manifest, error) {
	var m Manifest
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("model: %s: %w", ManifestFile, err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("model: %s:\n%w", ManifestFile, err)
	}
	return m, nil
}

// faults collects what is wrong with a manifest, each with its key.
type faults []error

func (f *faults) add(key, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

func (f *faults) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(key, "%q is not allowed, only %q", value, allowed)
	}
}

func (f *faults) between(key string, value, low, high int) {
	if value < low || value > high {
		f.add(key, "%d is not between %d and %d", value, low, high)
	}
}

func (f *faults) named(key, value string) {
	if value == "" {
		f.add(key, "is missing")
	}
}

// Bounds that no sensible bundle reaches. They keep a damaged manifest from
// asking for absurd amounts of memory.
const (
	maxWidth  = 1 << 16
	maxSide   = 1 << 12
	maxTokens = 1 << 13
)

func (m *Manifest) check() error {
	var f faults
	if m.Format != manifestFormat {
		f.add("format", "%d is not a format that this version reads, it reads %d", m.Format, manifestFormat)
	}
	f.named("name", m.Name)
	f.named("version", m.Version)
	f.named("variant", m.Variant)

	f.between("text.width", m.Text.Width, 1, maxWidth)
	f.oneOf("text.batching", string(m.Text.Batching), string(BatchSingle), string(BatchPadded))
	f.between("text.max_tokens", m.Text.MaxTokens, 2, maxTokens)
	m.Text.Tokenizer.check(&f)

	m.Image.check(&f)

	f.between("head.embedding", m.Head.Embedding, 1, maxWidth)
	f.between("explain.height", m.Explain.Height, 1, maxSide)
	f.between("explain.width", m.Explain.Width, 1, maxSide)

	if want := schemas.RelationNames(); !slices.Equal(m.Labels, want) {
		f.add("labels", "are %q, must be %q in this order", m.Labels, want)
	}
	for i, row := range m.Calibration.Matrix {
		for j, v := range row {
			finite(&f, fmt.Sprintf("calibration.matrix[%d][%d]", i, j), v)
		}
	}
	for i, v := range m.Calibration.Bias {
		finite(&f, fmt.Sprintf("calibration.bias[%d]", i), v)
	}
	if m.Calibration.Matrix == ([schemas.Relations][schemas.Relations]float64{}) {
		f.add("calibration.matrix", "is missing or all zeros; the identity leaves logits as they are")
	}

	m.checkFiles(&f)
	return errors.Join(f...)
}

func (t *Tokenizer) check(f *faults) {
	f.oneOf("text.tokenizer.type", t.Type, tokenize.Types...)
	if !slices.Contains(tokenize.Types, t.Type) {
		return
	}
	if !tokenize.NeedsMerges(t.Type) && t.Merges != "" {
		f.add("text.tokenizer.merges", "does not go with type %s", t.Type)
	}
	if tokenize.NeedsMerges(t.Type) && t.Lowercase {
		f.add("text.tokenizer.lowercase", "does not go with type %s", t.Type)
	}
}

func (t *ImageTower) check(f *faults) {
	f.between("image.width", t.Width, 1, maxWidth)
	f.between("image.height", t.Height, 1, maxSide)
	f.between("image.width_pixels", t.WidthPixels, 1, maxSide)
	f.oneOf("image.resize", t.Resize, "bilinear", "bicubic")
	f.oneOf("image.fit", t.Fit, "squash", "crop_centre")
	f.oneOf("image.exif", t.Exif, "apply", "ignore")
	if t.Fit == "crop_centre" {
		f.between("image.shortest_edge", t.ShortestEdge, max(t.Height, t.WidthPixels), maxSide)
	} else if t.ShortestEdge != 0 {
		f.add("image.shortest_edge", "goes with fit crop_centre only")
	}
	for _, list := range []struct {
		key    string
		values []float64
	}{{"image.mean", t.Mean}, {"image.std", t.Std}} {
		if len(list.values) != 3 {
			f.add(list.key, "has %d values, must have 3 (red, green, blue)", len(list.values))
		}
		for i, v := range list.values {
			finite(f, fmt.Sprintf("%s[%d]", list.key, i), v)
		}
	}
}

func finite(f *faults, key string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		f.add(key, "%v is not a finite number", v)
	}
}

func (m *Manifest) checkFiles(f *faults) {
	for _, path := range slices.Sorted(maps.Keys(m.Files)) {
		key := fmt.Sprintf("files[%q]", path)
		if !filepath.IsLocal(filepath.FromSlash(path)) || path == ManifestFile {
			f.add(key, "must be the path of another file inside the bundle")
		}
		if raw, err := hex.DecodeString(m.Files[path]); err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != m.Files[path] {
			f.add(key, "%q is not a SHA-256 in lower-case hexadecimal", m.Files[path])
		}
	}
	type file struct{ key, path string }
	all := []file{
		{"text.graph", m.Text.Graph},
		{"text.tokenizer.vocab", m.Text.Tokenizer.Vocab},
		{"image.graph", m.Image.Graph},
		{"head.graph", m.Head.Graph},
		{"explain.graph", m.Explain.Graph},
	}
	if t := m.Text.Tokenizer; slices.Contains(tokenize.Types, t.Type) && tokenize.NeedsMerges(t.Type) {
		all = append(all, file{"text.tokenizer.merges", t.Merges})
	}
	for _, used := range all {
		if used.path == "" {
			f.add(used.key, "is missing")
		} else if _, ok := m.Files[used.path]; !ok {
			f.add(used.key, "%q is not listed under files", used.path)
		}
	}
}

// transform returns the way from a picture to the image tower's pixels.
func (t *ImageTower) transform() pixels.Transform {
	out := pixels.Transform{Width: t.WidthPixels, Height: t.Height, ShortestEdge: t.ShortestEdge}
	if t.Resize == "bicubic" {
		out.Filter = pixels.Bicubic
	}
	if t.Fit == "crop_centre" {
		out.Fit = pixels.CropCentre
	}
	return out
}
