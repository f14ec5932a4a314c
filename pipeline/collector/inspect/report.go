package inspect

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset"
)

// Report is what is in a data set.
type Report struct {
	Rows       int64     `json:"rows"`
	Shards     int       `json:"shards"`
	Bytes      int64     `json:"bytes"`       // of the shards
	ImageBytes int64     `json:"image_bytes"` // of the encoded images
	First      time.Time `json:"first,omitzero"`
	Last       time.Time `json:"last,omitzero"` // when the oldest and the newest row were collected

	// EstimatedPairs is how many pairs the rows stand for: the sum of 1/inclusion_probability (Horvitz-Thompson).
	EstimatedPairs float64 `json:"estimated_pairs"`

	Relations []Share `json:"relations"`
	Sources   []Share `json:"sources"`
	Langs     []Share `json:"langs"`
	Days      []Share `json:"days"` // of collection, UTC
	Reasons   []Share `json:"reasons"`
	Licenses  []Share `json:"licenses"`
	Models    []Share `json:"models"`
	Sensitive int64   `json:"sensitive"`

	Dropped map[string]int64  `json:"dropped"` // records that became no rows, by reason; duplicates among them
	Removed int64             `json:"removed"` // rows that takedowns took out
	Inputs  []dataset.Covered `json:"inputs"`
}

// Share is how many rows have one value, and what that says about the stream they were selected from.
type Share struct {
	Name  string  `json:"name"` // empty: the rows say nothing
	Rows  int64   `json:"rows"`
	Share float64 `json:"share"` // of the rows
	// Estimate is the share among all pairs that could have been selected, each row weighing 1/inclusion_probability (Hájek), and
	// Error the standard error that the selection gives it. Duplicates and removed rows are missing from both.
	Estimate float64 `json:"estimated_share"`
	Error    float64 `json:"estimated_error"`
}

// Report counts the rows of all shards. It reads no images and no texts.
func (s *Set) Report(ctx context.Context) (Report, error) {
	manifest, err := s.folder.Manifest(ctx)
	if err != nil {
		return Report{}, err
	}
	r := Report{Dropped: map[string]int64{}, Inputs: manifest.Inputs}
	maps.Copy(r.Dropped, manifest.Dropped)
	var all tally
	relations, sources, langs, days, reasons, licenses, models := tallies{}, tallies{}, tallies{}, tallies{}, tallies{}, tallies{}, tallies{}
	begin := func(e dataset.Entry) {
		r.Removed += e.Removed
		r.ImageBytes += e.Stats.ImageBytes
		if e.Shard != "" {
			r.Shards++
			r.Bytes += e.Bytes
		}
	}
	each := func(row *dataset.Row) {
		c := &row.Collected
		p := c.Selected.Probability
		all.add(p)
		relations.add(p, c.Relation)
		sources.add(p, c.Source)
		langs.add(p, c.Langs...)
		days.add(p, c.CollectedAt.UTC().Format(time.DateOnly))
		reasons.add(p, c.Selected.Reason)
		licenses.add(p, c.License)
		models.add(p, c.Model.Name+" "+c.Model.Version+" "+c.Model.Digest)
		if c.Sensitive != nil && *c.Sensitive {
			r.Sensitive++
		}
		if at := c.CollectedAt.UTC(); r.First.IsZero() || at.Before(r.First) {
			r.First = at
		}
		if at := c.CollectedAt.UTC(); at.After(r.Last) {
			r.Last = at
		}
	}
	err = s.rows(ctx, begin, each, dataset.ColRelation, dataset.ColSource, dataset.ColLangs, dataset.ColCollectedAt, dataset.ColSelectedReason,
		dataset.ColLicense, dataset.ColSensitive, dataset.ColProbability, dataset.ColModelName, dataset.ColModelVersion, dataset.ColModelDigest)
	if err != nil {
		return Report{}, err
	}
	r.Rows, r.EstimatedPairs = all.rows, all.weight
	for _, t := range []struct {
		to   *[]Share
		from tallies
	}{
		{&r.Relations, relations},
		{&r.Sources, sources},
		{&r.Langs, langs},
		{&r.Days, days},
		{&r.Reasons, reasons},
		{&r.Licenses, licenses},
		{&r.Models, models},
	} {
		*t.to = t.from.shares(all)
	}
	slices.SortFunc(r.Days, func(a, b Share) int { return cmp.Compare(a.Name, b.Name) })
	return r, nil
}

// tally sums rows up that were each selected with a probability of their own.
type tally struct {
	rows     int64
	weight   float64 // Σ 1/p
	variance float64 // Σ (1−p)/p²: what one more row of it would vary the weight by, summed
}

func (t *tally) add(p float64) {
	t.rows++
	if p > 0 && p <= 1 {
		t.weight += 1 / p
		t.variance += (1 - p) / (p * p)
	}
}

type tallies map[string]*tally

// add counts a row under each of its values, under none as "".
func (t tallies) add(p float64, names ...string) {
	if len(names) == 0 {
		names = []string{""}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		if t[name] == nil {
			t[name] = &tally{}
		}
		t[name].add(p)
	}
}

// shares are in the order of their rows, most first.
func (t tallies) shares(all tally) []Share {
	shares := make([]Share, 0, len(t))
	for name, one := range t {
		s := Share{Name: name, Rows: one.rows, Share: float64(one.rows) / float64(all.rows)}
		if all.weight > 0 {
			s.Estimate = one.weight / all.weight
			// The linearised variance of a ratio under independent selections.
			s.Error = math.Sqrt(one.variance*(1-s.Estimate)*(1-s.Estimate)+(all.variance-one.variance)*s.Estimate*s.Estimate) / all.weight
		}
		shares = append(shares, s)
	}
	slices.SortFunc(shares, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Name, b.Name))
	})
	return shares
}
