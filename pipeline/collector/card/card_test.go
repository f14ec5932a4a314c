package card

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/itrstream/itrstream/connectors/dataset"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func manifest() dataset.Manifest {
	return dataset.Manifest{
		Schema: "dataset.v1", Rows: 1200, Bytes: 345_678_901, Removed: 4, Dropped: map[string]int64{"duplicate": 77, "opted_out": 2},
		Shards: make([]dataset.Shard, 3),
		Stats: dataset.Stats{
			Relations: map[string]int64{"neither": 600, "image_adds": 300, "both": 300}, Weights: map[string]float64{"neither": 6000, "image_adds": 3000, "both": 3000},
			Sources: map[string]int64{"bluesky": 1200}, Langs: map[string]int64{"en": 900, "de-AT": 200, "DE": 100, "x-klingon|": 1},
			Reasons: map[string]int64{"rate": 1000, "rule:cats": 200}, Licenses: map[string]int64{"CC-BY-4.0": 30, "unknown": 1170},
			Models: map[string]int64{"itr-mini 0.2.0 sha256:00ff": 1200}, Sensitive: 3,
			Rows: 1200, Days: map[string]int64{"2026-11-23": 1000, "2026-11-22": 200},
		},
	}
}

func TestCard(t *testing.T) {
	t.Parallel()
	got, err := Make(manifest(), Config{Name: "Cats and their texts", Contact: "privacy@example.org"})
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("testdata/card.md", got, 0o600))
	}
	want, err := os.ReadFile("testdata/card.md")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "go test -update rewrites it; look at the difference")
	again, err := Make(manifest(), Config{Name: "Cats and their texts", Contact: "privacy@example.org"})
	require.NoError(t, err)
	assert.Equal(t, got, again)
}

// parsed is the front matter as any reader of YAML has it.
func parsed(t *testing.T, card []byte) map[string]any {
	t.Helper()
	rest, ok := strings.CutPrefix(string(card), "---\n")
	require.True(t, ok)
	front, _, ok := strings.Cut(rest, "\n---\n")
	require.True(t, ok)
	var out map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(front), &out))
	return out
}

func TestFrontMatter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"plain":     DefaultConfig(),
		"difficult": {Name: "# a: 'b' \"c\" {d} --- | & *e", Contact: "<script>"},
	} {
		card, err := Make(manifest(), c)
		require.NoError(t, err)
		front := parsed(t, card)
		assert.Equal(t, c.Name, front["pretty_name"], name)
		assert.Equal(t, []any{"de", "en"}, front["language"])
		assert.Equal(t, []any{"1K<n<10K"}, front["size_categories"])
		assert.Equal(t, []any{map[string]any{
			"config_name": "default", "data_files": []any{map[string]any{"split": "train", "path": "data/**/*.parquet"}},
		}}, front["configs"])
		features := front["dataset_info"].(map[string]any)["features"].([]any)
		assert.Len(t, features, dataset.Schema().NumFields())
		assert.Equal(t, map[string]any{"name": "image", "dtype": "image"}, features[0])
		assert.Contains(t, features, map[string]any{"name": "relation", "dtype": map[string]any{"class_label": map[string]any{
			"names": map[string]any{"0": "neither", "1": "image_adds", "2": "text_represented", "3": "both"},
		}}})
		assert.Contains(t, features, map[string]any{"name": "langs", "list": "string"})
	}
}

func TestEveryColumnIsDescribed(t *testing.T) {
	t.Parallel()
	var described, there []string
	for _, c := range columns {
		described = append(described, c.Name)
	}
	for _, f := range dataset.Schema().Fields() {
		there = append(there, f.Name)
	}
	assert.Equal(t, there, described)
}

// An empty data set has a card, too, and foreign names stay in their cells.
func TestEmptyAndHostile(t *testing.T) {
	t.Parallel()
	card, err := Make(dataset.Manifest{}, DefaultConfig())
	require.NoError(t, err)
	assert.Equal(t, []any{"n<1K"}, parsed(t, card)["size_categories"])
	assert.NotContains(t, string(card), "NaN")

	m := manifest()
	m.Stats.Sources = map[string]int64{"a | b |\n\n# <b>title</b> [x](y)": 1}
	card, err = Make(m, DefaultConfig())
	require.NoError(t, err)
	assert.Contains(t, string(card), `| a \| b \|  # &lt;b>title&lt;/b> \[x](y) | 1 | 0.1 % |`)
}

func TestSizeCategory(t *testing.T) {
	t.Parallel()
	for rows, want := range map[int64]string{0: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 99_999: "10K<n<100K", 5_000_000_000: "1B<n<10B", 1 << 62: "100B<n<1T"} {
		assert.Equal(t, want, sizeCategory(rows))
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	require.ErrorContains(t, Config{}.Validate(), "name: ")
	require.ErrorContains(t, Config{Name: "a\nb"}.Validate(), "name: ")
	require.ErrorContains(t, Config{Name: "a", Contact: strings.Repeat("x", 201)}.Validate(), "contact: ")
}
