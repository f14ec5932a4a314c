// Package card writes the data set's card: README.md with the front matter that Hugging Face's hub and loader read, and what a
// person must know before training on the pairs.
//
// Changing the text? Edit card.md.tmpl. A new column? Say what it is in columns.go; a test asks for it.
// Changing the front matter? Read frontMatter, and the test in Python (model/tests/dataset) that loads by it.
package card

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/schemas"
)

// Name of the card in the data set's folder.
const Name = "README.md"

// Config is what operators say about their data set.
type Config struct {
	// Name is the data set's title.
	Name string `mapstructure:"name"`
	// Contact is whom to ask, as for a takedown: an address or a URL.
	Contact string `mapstructure:"contact"`
}

// DefaultConfig returns what holds where operators set nothing.
func DefaultConfig() Config { return Config{Name: "Image-text pairs collected by itrstream"} }

// Validate reports what is wrong with the texts.
func (c Config) Validate() error {
	for _, t := range []struct{ key, text string }{{"name", c.Name}, {"contact", c.Contact}} {
		if len(t.text) > 200 || strings.ContainsAny(t.text, "\r\n") {
			return fmt.Errorf("%s: must be one line of at most 200 bytes", t.key)
		}
	}
	if c.Name == "" {
		return fmt.Errorf("name: must not be empty")
	}
	return nil
}

// The front matter, as huggingface/hub-docs' datasetcard.md has it. Splits are not counted in it: the loader would refuse a data
// set that has grown since.
type frontMatter struct {
	PrettyName          string      `yaml:"pretty_name"`
	License             string      `yaml:"license"`
	LicenseName         string      `yaml:"license_name"`
	LicenseLink         string      `yaml:"license_link"`
	Language            []string    `yaml:"language,omitempty"`
	Tags                []string    `yaml:"tags"`
	TaskCategories      []string    `yaml:"task_categories"`
	SizeCategories      []string    `yaml:"size_categories"`
	AnnotationsCreators []string    `yaml:"annotations_creators"`
	SourceDatasets      []string    `yaml:"source_datasets"`
	Configs             []loading   `yaml:"configs"`
	Info                description `yaml:"dataset_info"`
}

type loading struct {
	Name  string  `yaml:"config_name"`
	Files []files `yaml:"data_files"`
}

type files struct {
	Split string `yaml:"split"`
	Path  string `yaml:"path"`
}

type description struct {
	Features []map[string]any `yaml:"features"`
}

//go:embed card.md.tmpl
var text string

var layout = template.Must(template.New(Name).Funcs(template.FuncMap{"cell": cell}).Parse(text))

// Make writes the card of a data set as its manifest describes it. Equal manifests give equal cards.
func Make(m dataset.Manifest, c Config) ([]byte, error) {
	features, err := features()
	if err != nil {
		return nil, err
	}
	front, err := yaml.Marshal(frontMatter{
		PrettyName: c.Name, License: "other", LicenseName: "as-each-row-says", LicenseLink: "#licences", Language: languages(m.Stats.Langs),
		Tags:           []string{"image-text", "social-media", "weak-labels", "itrstream"},
		TaskCategories: []string{"image-text-to-text"}, SizeCategories: []string{sizeCategory(m.Rows)},
		AnnotationsCreators: []string{"machine-generated"}, SourceDatasets: []string{"original"},
		Configs: []loading{{Name: "default", Files: []files{{Split: "train", Path: "data/**/*.parquet"}}}},
		Info:    description{Features: features},
	})
	if err != nil {
		return nil, fmt.Errorf("card: front matter: %w", err)
	}
	out := bytes.NewBufferString("---\n")
	out.Write(front)
	out.WriteString("---\n\n")
	if err := layout.Execute(out, contents(m, c)); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	return out.Bytes(), nil
}

// languages are those of the posts as the hub knows them: two or three letters, regions and scripts left out.
func languages(counts map[string]int64) []string {
	var all []string
	for tag := range counts {
		code, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if languageCode.MatchString(code) && !slices.Contains(all, code) {
			all = append(all, code)
		}
	}
	slices.Sort(all)
	return all
}

var languageCode = regexp.MustCompile(`^[a-z]{2,3}$`)

// sizeCategory is the hub's name for so many rows.
func sizeCategory(rows int64) string {
	names := []string{"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T"}
	at := 0
	for limit := int64(1000); rows >= limit && at < len(names)-1; limit *= 10 {
		at++
	}
	return names[at]
}

// features are those of the shards, in YAML's form of them.
func features() ([]map[string]any, error) {
	schema := dataset.Schema()
	at := schema.Metadata().FindKey("huggingface")
	if at < 0 {
		return nil, fmt.Errorf("card: the shards' schema says nothing about features")
	}
	var told struct {
		Info struct {
			Features map[string]feature `json:"features"`
		} `json:"info"`
	}
	if err := json.Unmarshal([]byte(schema.Metadata().Values()[at]), &told); err != nil {
		return nil, fmt.Errorf("card: features: %w", err)
	}
	var all []map[string]any
	for _, field := range schema.Fields() {
		entry := map[string]any{"name": field.Name}
		switch f := told.Info.Features[field.Name]; f.Type {
		case "Image":
			entry["dtype"] = "image"
		case "Value":
			entry["dtype"] = f.DType
		case "ClassLabel":
			names := map[string]string{}
			for i, name := range f.Names {
				names[strconv.Itoa(i)] = name
			}
			entry["dtype"] = map[string]any{"class_label": map[string]any{"names": names}}
		case "List":
			entry["list"] = f.Feature.DType
		default:
			return nil, fmt.Errorf("card: feature %s is of type %q, which this card has no form for", field.Name, f.Type)
		}
		all = append(all, entry)
	}
	return all, nil
}

// feature is one of the shards' metadata.
type feature struct {
	Type    string   `json:"_type"`
	DType   string   `json:"dtype"`
	Names   []string `json:"names"`
	Feature *feature `json:"feature"`
}

// cell keeps foreign text inside a cell of a Markdown table.
func cell(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, text)
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "[", `\[`).Replace(clean)
}

// page is what the text is filled with.
type page struct {
	Config
	Rows, Shards              int64
	Size, First, Last         string
	Columns                   []column
	Relations                 []relation
	Reasons, Sources, Langs   []count
	Licenses, Models, Dropped []count
	Sensitive, Removed        int64
	EstimatedPairs            string
}

type count struct {
	Name  string
	Rows  int64
	Share string
}

type relation struct {
	count
	Estimate string
}

func contents(m dataset.Manifest, c Config) page {
	p := page{
		Config: c, Rows: m.Rows, Shards: int64(len(m.Shards)), Size: fmt.Sprintf("%.1f MB", float64(m.Bytes)/1e6),
		Columns: columns, Sensitive: m.Stats.Sensitive, Removed: m.Removed,
		Reasons: counts(m.Stats.Reasons, m.Rows), Sources: counts(m.Stats.Sources, m.Rows), Langs: counts(m.Stats.Langs, m.Rows),
		Licenses: counts(m.Stats.Licenses, m.Rows), Models: counts(m.Stats.Models, m.Rows), Dropped: counts(m.Dropped, 0),
	}
	if days := slices.Sorted(maps.Keys(m.Stats.Days)); len(days) > 0 {
		p.First, p.Last = days[0], days[len(days)-1]
	}
	var pairs float64
	for _, weight := range m.Stats.Weights {
		pairs += weight
	}
	p.EstimatedPairs = fmt.Sprintf("%.0f", pairs)
	for _, name := range schemas.RelationNames() {
		r := relation{count: counted(name, m.Stats.Relations[name], m.Rows), Estimate: "–"}
		if pairs > 0 {
			r.Estimate = fmt.Sprintf("%.1f %%", 100*m.Stats.Weights[name]/pairs)
		}
		p.Relations = append(p.Relations, r)
	}
	return p
}

// shownCounts bounds a table of names that posts choose.
const shownCounts = 20

// counts are the largest, most first.
func counts(of map[string]int64, rows int64) []count {
	var all []count
	for name, n := range of {
		all = append(all, counted(name, n, rows))
	}
	slices.SortFunc(all, func(a, b count) int {
		if a.Rows != b.Rows {
			return int(min(1, max(-1, b.Rows-a.Rows)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all[:min(len(all), shownCounts)]
}

func counted(name string, n, rows int64) count {
	c := count{Name: name, Rows: n}
	if rows > 0 {
		c.Share = fmt.Sprintf("%.1f %%", 100*float64(n)/float64(rows))
	}
	return c
}
