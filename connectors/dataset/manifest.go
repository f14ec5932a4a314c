package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/schemas"
)

const (
	manifestName   = "manifest.json"
	cardName       = "README.md"
	manifestSchema = "dataset.v1"
)

// Manifest sums the log up, for people and for readers without a log.
type Manifest struct {
	Schema  string           `json:"schema"`
	Rows    int64            `json:"rows"`
	Bytes   int64            `json:"bytes"`
	Stats   Stats            `json:"statistics"`
	Dropped map[string]int64 `json:"dropped,omitempty"`
	Removed int64            `json:"removed,omitempty"`
	Shards  []Shard          `json:"shards"`
	// Inputs are the partitions with the offsets that the data set covers.
	Inputs []Covered `json:"inputs"`
}

// Shard is one file of a Manifest.
type Shard struct {
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	Bytes     int64  `json:"bytes"`
	Rows      int64  `json:"rows"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Rev       int    `json:"rev"`
	Stats     Stats  `json:"statistics"`
}

// Covered is the range of one partition.
type Covered struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Gaps      []Gap  `json:"gaps,omitempty"`
}

// Partitions lists those that have begun.
func (f *Folder) Partitions(ctx context.Context) ([]schemas.Partition, error) {
	keys, err := f.list(ctx, "log/")
	if err != nil {
		return nil, err
	}
	var all []schemas.Partition
	for _, key := range keys {
		folder, name := path.Split(key)
		if in := logFolder.FindStringSubmatch(folder); in != nil && name == baseName {
			if p, ok := partitionOf(in[1], in[2]); ok {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b schemas.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// loadTogether is how many partitions are read at a time.
const loadTogether = 8

// Chains loads the chains of all partitions.
func (f *Folder) Chains(ctx context.Context) ([]*Chain, error) {
	inputs, err := f.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*Chain, len(inputs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loadTogether)
	for i, p := range inputs {
		g.Go(func() (err error) {
			all[i], err = f.Chain(ctx, p)
			return err
		})
	}
	return all, g.Wait()
}

// Manifest sums the log up as it stands.
func (f *Folder) Manifest(ctx context.Context) (Manifest, error) {
	m := Manifest{Schema: manifestSchema, Shards: []Shard{}, Inputs: []Covered{}}
	chains, err := f.Chains(ctx)
	if err != nil {
		return m, err
	}
	for _, c := range chains {
		covered := Covered{Topic: c.input.Topic, Partition: c.input.ID, From: c.base.From, To: c.End()}
		for _, e := range c.held {
			m.add(e)
			if e.Gap != nil {
				covered.Gaps = append(covered.Gaps, *e.Gap)
			}
		}
		m.Inputs = append(m.Inputs, covered)
	}
	return m, nil
}

func (m *Manifest) add(e Entry) {
	m.Rows += e.Rows
	m.Bytes += e.Bytes
	m.Removed += e.Removed
	m.Stats.Merge(e.Stats)
	for reason, n := range e.Dropped {
		if m.Dropped == nil {
			m.Dropped = make(map[string]int64)
		}
		m.Dropped[reason] += n
	}
	if e.Shard != "" {
		m.Shards = append(m.Shards, Shard{
			Path: e.Shard, SHA256: e.SHA256, Bytes: e.Bytes, Rows: e.Rows,
			Topic: e.Topic, Partition: e.Partition, From: e.From, To: e.To, Rev: e.Rev, Stats: e.Stats,
		})
	}
}

// manifestTries is how often WriteManifest follows a log that goes on.
const manifestTries = 3

// WriteManifest writes manifest.json anew, until it says what the log says:
// others may be writing theirs, from what they saw a moment ago. Where the log
// grows faster, whoever made it grow writes next.
func (f *Folder) WriteManifest(ctx context.Context) (Manifest, error) {
	for try := 1; ; try++ {
		m, err := f.Manifest(ctx)
		if err != nil {
			return m, err
		}
		text, err := json.MarshalIndent(m, "", "  ")
		if err != nil {
			return m, fmt.Errorf("dataset: encoding the manifest: %w", err)
		}
		if err := f.store.WriteAll(ctx, manifestName, append(text, '\n'), nil); err != nil {
			return m, again(ctx, "writing "+manifestName, err)
		}
		now, err := f.Manifest(ctx)
		if err != nil {
			return m, err
		}
		if m.same(now) || try == manifestTries {
			return m, nil
		}
	}
}

func (m *Manifest) same(o Manifest) bool {
	return slices.EqualFunc(m.Shards, o.Shards, func(a, b Shard) bool { return a.Path == b.Path && a.Rev == b.Rev }) &&
		slices.EqualFunc(m.Inputs, o.Inputs, func(a, b Covered) bool { return a.To == b.To && len(a.Gaps) == len(b.Gaps) })
}

// ReadManifest reads manifest.json.
func (f *Folder) ReadManifest(ctx context.Context) (Manifest, error) {
	text, err := f.store.ReadAll(ctx, manifestName)
	if err != nil {
		return Manifest{}, away(ctx, "reading "+manifestName, err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("dataset: %s is damaged: %w", manifestName, err)
	}
	if m.Schema != manifestSchema {
		return Manifest{}, fmt.Errorf("dataset: %s has schema %q, not %s: a newer itrstream wrote it", manifestName, m.Schema, manifestSchema)
	}
	return m, nil
}

// Entries returns all entries that hold.
func (f *Folder) Entries(ctx context.Context) ([]Entry, error) {
	chains, err := f.Chains(ctx)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, c := range chains {
		all = append(all, c.held...)
	}
	return all, nil
}

// WriteCard writes README.md, the data set card.
func (f *Folder) WriteCard(ctx context.Context, text []byte) error {
	if err := f.store.WriteAll(ctx, cardName, text, nil); err != nil {
		return again(ctx, "writing "+cardName, err)
	}
	return nil
}
