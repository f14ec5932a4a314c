package dataset

import (
	"maps"
	"slices"
	"time"
)

// Stats counts the rows of a shard, or of the whole data set. A name that a
// post chooses itself may be missing: it counts as Unknown.
type Stats struct {
	Rows       int64 `json:"rows"`
	ImageBytes int64 `json:"image_bytes"` // of the encoded images
	TextBytes  int64 `json:"text_bytes"`
	Sensitive  int64 `json:"sensitive,omitempty"`

	Relations map[string]int64 `json:"relations,omitempty"`
	Sources   map[string]int64 `json:"sources,omitempty"`
	Langs     map[string]int64 `json:"langs,omitempty"` // a row with two counts twice
	Days      map[string]int64 `json:"days,omitempty"`  // when it was collected
	Reasons   map[string]int64 `json:"reasons,omitempty"`
	Licenses  map[string]int64 `json:"licenses,omitempty"`
	Models    map[string]int64 `json:"models,omitempty"` // name version digest

	// Weights sum 1/inclusion probability by relation: what the rows stand for
	// in the stream.
	Weights map[string]float64 `json:"weights,omitempty"`
}

// Posts choose their languages, sources and licences freely; what is beyond
// this many counts as Other.
const (
	mostNames = 64
	Other     = "other"
	Unknown   = "unknown"
)

func bump(m *map[string]int64, name string, n int64) {
	if name == "" {
		name = Unknown
	}
	if *m == nil {
		*m = make(map[string]int64)
	}
	if _, known := (*m)[name]; !known && len(*m) >= mostNames {
		name = Other
	}
	(*m)[name] += n
}

func (s *Stats) weigh(relation string, weight float64) {
	if s.Weights == nil {
		s.Weights = make(map[string]float64)
	}
	s.Weights[relation] += weight
}

// Add counts one row.
func (s *Stats) Add(r *Row) {
	c := &r.Collected
	s.Rows++
	s.ImageBytes += int64(len(r.Image))
	s.TextBytes += int64(len(c.Text))
	if c.Sensitive != nil && *c.Sensitive {
		s.Sensitive++
	}
	bump(&s.Relations, c.Relation, 1)
	bump(&s.Sources, c.Source, 1)
	if len(c.Langs) == 0 {
		bump(&s.Langs, "", 1)
	}
	for i, lang := range c.Langs {
		if !slices.Contains(c.Langs[:i], lang) {
			bump(&s.Langs, lang, 1)
		}
	}
	s.day(c.CollectedAt.UTC().Format(time.DateOnly), 1)
	bump(&s.Reasons, c.Selected.Reason, 1)
	bump(&s.Licenses, c.License, 1)
	bump(&s.Models, c.Model.Name+" "+c.Model.Version+" "+c.Model.Digest, 1)
	if p := c.Selected.Probability; p > 0 {
		s.weigh(c.Relation, 1/p)
	}
}

// day counts without a limit: time adds days, not posts.
func (s *Stats) day(name string, n int64) {
	if s.Days == nil {
		s.Days = make(map[string]int64)
	}
	s.Days[name] += n
}

// Merge adds the counts of another shard.
func (s *Stats) Merge(o Stats) {
	s.Rows += o.Rows
	s.ImageBytes += o.ImageBytes
	s.TextBytes += o.TextBytes
	s.Sensitive += o.Sensitive
	for _, m := range []struct {
		to   *map[string]int64
		from map[string]int64
	}{
		{&s.Relations, o.Relations},
		{&s.Sources, o.Sources},
		{&s.Langs, o.Langs},
		{&s.Reasons, o.Reasons},
		{&s.Licenses, o.Licenses},
		{&s.Models, o.Models},
	} {
		for _, name := range slices.Sorted(maps.Keys(m.from)) {
			bump(m.to, name, m.from[name])
		}
	}
	for name, n := range o.Days {
		s.day(name, n)
	}
	for _, relation := range slices.Sorted(maps.Keys(o.Weights)) {
		s.weigh(relation, o.Weights[relation])
	}
}
