package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/pixels"
)

func tinyManifest(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tinyBundle, ManifestFile))
	require.NoError(t, err)
	return string(data)
}

func TestParseManifest(t *testing.T) {
	t.Parallel()
	m, err := ParseManifest([]byte(tinyManifest(t)))
	require.NoError(t, err)
	require.Equal(t, "tiny", m.Name)
	require.Equal(t, BatchPadded, m.Text.Batching)
	require.Equal(t, 0.05, m.Calibration.Bias[3])
	require.Equal(t, pixels.Transform{Width: 8, Height: 6, Filter: pixels.Bilinear, Fit: pixels.Squash}, m.Image.transform())
}

// TestManifestFaults changes one thing each, and all of them together: every
// fault is told, by its key.
func TestManifestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, changed, want string }{
		{"format: 1", "format: 2", "format: 2 is not a format"},
		{"name: tiny", `name: ""`, "name: is missing"},
		{"version: 0.0.1", `version: ""`, "version: is missing"},
		{"variant: mini", `variant: ""`, "variant: is missing"},
		{"width: 7\n", "width: 0\n", "text.width: 0 is not between"},
		{"batching: padded", "batching: some", `text.batching: "some" is not allowed`},
		{"max_tokens: 16", "max_tokens: 1", "text.max_tokens: 1 is not between 2"},
		{"type: wordpiece", "type: bpe", `text.tokenizer.type: "bpe" is not allowed`},
		{"type: wordpiece", "type: clip", `text.tokenizer.merges: is missing`},
		{"type: wordpiece", "type: clip\n    merges: merges.txt", `text.tokenizer.merges: "merges.txt" is not listed under files`},
		{"type: wordpiece", "type: roberta\n    merges: vocab.txt", "text.tokenizer.lowercase: does not go with type roberta"},
		{"type: wordpiece", "type: wordpiece\n    merges: vocab.txt", "text.tokenizer.merges: does not go with type wordpiece"},
		{"vocab: vocab.txt", "vocab: words.txt", `text.tokenizer.vocab: "words.txt" is not listed under files`},
		{"width: 5\n", "width: 1000000\n", "image.width: 1000000"},
		{"height: 6", "height: -6", "image.height: -6"},
		{"width_pixels: 8", "width_pixels: 0", "image.width_pixels: 0"},
		{"resize: bilinear", "resize: lanczos", `image.resize: "lanczos"`},
		{"exif: apply", "exif: maybe", `image.exif: "maybe"`},
		{"  - 120.0\n", "", "image.mean: has 2 values, must have 3"},
		{"  - 64.0\n", "  - .nan\n", "image.std[0]: NaN"},
		{"graph: head.onnx", `graph: ""`, "head.graph: is missing"},
		{"embedding: 12", "embedding: 0", "head.embedding: 0"},
		{"height: 2\n", "height: 0\n", "explain.height: 0"},
		{"width: 4\n", "width: 9999\n", "explain.width: 9999"},
		{"- image_adds\n- text_represented", "- text_represented\n- image_adds", "labels: are"},
		{"    - 0.0\n  - - 0.0", "    - .inf\n  - - 0.0", "calibration.matrix[0][3]: +Inf"},
		{"  - -0.1\n", "  - .nan\n", "calibration.bias[2]: NaN"},
		{"  head.onnx: ", "  ../head.onnx: ", `files["../head.onnx"]: must be the path of another file`},
		{"  vocab.txt: dc", "  vocab.txt: DC", `files["vocab.txt"]`},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			good := tinyManifest(t)
			require.Contains(t, good, c.old)
			_, err := ParseManifest([]byte(strings.Replace(good, c.old, c.changed, 1)))
			require.ErrorContains(t, err, c.want)
		})
	}

	_, err := ParseManifest([]byte("format: 7"))
	for _, key := range []string{
		"format", "name", "version", "variant", "text.width", "text.batching", "text.max_tokens", "text.tokenizer.type",
		"image.width", "image.height", "image.width_pixels", "image.resize", "image.fit", "image.exif", "image.mean", "image.std",
		"head.embedding", "explain.height", "explain.width", "labels", "calibration.matrix",
		"text.graph", "text.tokenizer.vocab", "image.graph", "head.graph", "explain.graph",
	} {
		require.ErrorContains(t, err, "\n"+key+": ")
	}
}

func TestManifestFit(t *testing.T) {
	t.Parallel()
	good := tinyManifest(t)
	crop := strings.NewReplacer("fit: squash", "fit: crop_centre\n  shortest_edge: 9", "resize: bilinear", "resize: bicubic").Replace(good)
	m, err := ParseManifest([]byte(crop))
	require.NoError(t, err)
	transform := m.Image.transform()
	require.Equal(t, pixels.Transform{Width: 8, Height: 6, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 9}, transform)
	require.NoError(t, transform.Validate())

	_, err = ParseManifest([]byte(strings.Replace(crop, "shortest_edge: 9", "shortest_edge: 7", 1)))
	require.ErrorContains(t, err, "image.shortest_edge: 7 is not between 8")
	_, err = ParseManifest([]byte(strings.Replace(good, "fit: squash", "fit: squash\n  shortest_edge: 9", 1)))
	require.ErrorContains(t, err, "image.shortest_edge: goes with fit crop_centre only")
}

func TestManifestSyntax(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ manifest, want string }{
		"unknown key":    {tinyManifest(t) + "colour: red\n", "colour"},
		"no YAML":        {"{", "did not find"},
		"nothing":        {"", "EOF"},
		"small matrix":   {strings.Replace(tinyManifest(t), "  - - 1.5\n", "  - - 1.5\n    - 0.0\n", 1), "invalid array"},
		"wrong type":     {strings.Replace(tinyManifest(t), "height: 6", "height: six", 1), "cannot unmarshal"},
		"second faults":  {strings.Replace(tinyManifest(t), "height: 6", "heigth: six", 1), "heigth"},
		"a list instead": {"- format: 1", "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseManifest([]byte(c.manifest))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, ManifestFile)
		})
	}
}

// FuzzParseManifest: what is accepted can be loaded without absurd memory, and
// nothing panics.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(tinyManifest(f)))
	f.Add([]byte("format: 1\nfiles: {a: b}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		if err != nil {
			return
		}
		if err := m.Image.transform().Validate(); err != nil {
			t.Error(err)
		}
	})
}
