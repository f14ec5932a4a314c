package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/bucket"
)

// Fault is something that is wrong with a data set.
type Fault struct {
	// Where is a file of the data set, with the row where it is one row's.
	Where string `json:"where"`
	What  string `json:"what"`
}

// Verdict is what Verify found.
type Verdict struct {
	Rows   int64   `json:"rows"`
	Shards int     `json:"shards"`
	Faults []Fault `json:"faults"`
	// More counts the faults beyond the first thousand.
	More int `json:"more"`
	// Unsettled are files that a running collector may be about to write or remove; seen again in an hour, they are leftovers.
	Unsettled []string `json:"unsettled"`
}

// Whole reports whether nothing is wrong.
func (v *Verdict) Whole() bool { return len(v.Faults) == 0 }

func (v *Verdict) fault(where, format string, args ...any) {
	if len(v.Faults) == mostFaults {
		v.More++
		return
	}
	v.Faults = append(v.Faults, Fault{Where: where, What: fmt.Sprintf(format, args...)})
}

const (
	mostFaults = 1000
	// settleTime is how long a shard may take from its first byte to its entry.
	settleTime = time.Hour

	manifestName = "manifest.json"
)

// Verify reads everything, images included: the log's chains, every shard's digest, length and counts, every row, the manifest, and
// what lies about. An error says that it could not go on; what is wrong with the data set is in the verdict.
func (s *Set) Verify(ctx context.Context, now time.Time) (Verdict, error) {
	v := Verdict{Faults: []Fault{}, Unsettled: []string{}}
	taken, err := dataset.OpenTakedowns(ctx, s.folder, func() time.Time { return now })
	if err != nil {
		v.fault("takedowns/", "%s", err)
	}
	inputs, err := s.folder.Partitions(ctx)
	if err != nil {
		return v, err
	}
	c := checker{set: s, verdict: &v, taken: taken, seen: map[[16]byte]string{}}
	named := map[string]bool{}
	for _, input := range inputs {
		chain, err := s.folder.Chain(ctx, input)
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		if err != nil {
			v.fault("log/"+input.String(), "%s", err)
			continue
		}
		for _, e := range chain.Entries() {
			if err := s.shard(ctx, e, func(now dataset.Entry) error {
				named[now.Shard] = true
				return c.shard(ctx, now)
			}); errors.Is(err, errGone) {
				v.fault(e.Shard, "is missing: the log names it")
			} else if err != nil {
				return v, err
			}
		}
	}
	if err := s.leftovers(ctx, &v, named, now); err != nil {
		return v, err
	}
	return v, s.manifest(ctx, &v, now)
}

// leftovers finds shards that no entry names and files of writers that died.
func (s *Set) leftovers(ctx context.Context, v *Verdict, named map[string]bool, now time.Time) error {
	for all := s.files.List(&blob.ListOptions{}); ; {
		o, err := all.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing the data set: %w", err)
		}
		what := ""
		switch {
		case bucket.Leftover(o.Key):
			what = "is left over: its writer died"
		case strings.HasPrefix(o.Key, "data/") && strings.HasSuffix(o.Key, ".parquet") && !named[o.Key]:
			what = "is in no entry of the log"
		default:
			continue
		}
		if now.Sub(o.ModTime) < settleTime {
			v.Unsettled = append(v.Unsettled, o.Key)
		} else {
			v.fault(o.Key, "%s; itrstream collect removes it when it takes the partition over", what)
		}
	}
}

// manifest compares manifest.json with the log. A collector writes it a moment after the log.
func (s *Set) manifest(ctx context.Context, v *Verdict, now time.Time) error {
	written, err := s.folder.ReadManifest(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		v.fault(manifestName, "%s", err)
		return nil
	}
	entries, err := s.folder.Entries(ctx)
	if err != nil {
		return nil //nolint:nilerr // the chains' faults are reported by now
	}
	var logged, told []string
	var newest time.Time
	for _, e := range entries {
		if e.Shard != "" {
			logged = append(logged, fmt.Sprint(e.Shard, e.SHA256, e.Bytes, e.Rows))
		}
		if e.Written.After(newest) {
			newest = e.Written
		}
	}
	for _, shard := range written.Shards {
		told = append(told, fmt.Sprint(shard.Path, shard.SHA256, shard.Bytes, shard.Rows))
	}
	slices.Sort(logged)
	slices.Sort(told)
	switch {
	case slices.Equal(logged, told):
	case now.Sub(newest) < settleTime:
		v.Unsettled = append(v.Unsettled, manifestName)
	default:
		v.fault(manifestName, "tells of %d shards where the log has %d, or of others; itrstream collect writes it anew", len(told), len(logged))
	}
	return nil
}

// shard checks one shard against its entry, and its rows.
func (c *checker) shard(ctx context.Context, e dataset.Entry) error {
	copied, sum, err := c.set.copyOf(ctx, e.Shard)
	if err != nil {
		return err
	}
	defer copied.Close() //nolint:errcheck // it was read only, and has no name
	c.verdict.Shards++
	about, err := copied.Stat()
	if err != nil {
		return fmt.Errorf("shard %s: %w", e.Shard, err)
	}
	if about.Size() != e.Bytes {
		c.verdict.fault(e.Shard, "has %d bytes, its entry says %d", about.Size(), e.Bytes)
	}
	if sum != e.SHA256 {
		c.verdict.fault(e.Shard, "has SHA-256 %s, its entry says %s", sum, e.SHA256)
	}
	r, err := dataset.NewReader(copied, c.set.alloc)
	if err != nil {
		c.verdict.fault(e.Shard, "%s", err)
		return nil
	}
	var rows int64
	var stats dataset.Stats
	for row, err := range r.Rows(ctx) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.verdict.fault(e.Shard, "after row %d: %s", rows, err)
			return nil
		}
		rows++
		stats.Add(&row)
		c.row(fmt.Sprintf("%s row %d", e.Shard, rows), &row)
	}
	c.verdict.Rows += rows
	if rows != e.Rows {
		c.verdict.fault(e.Shard, "has %d rows, its entry says %d", rows, e.Rows)
	} else if !reflect.DeepEqual(stats, e.Stats) {
		c.verdict.fault(e.Shard, "its rows are not those that its entry counts")
	}
	return nil
}

// copyOf brings a shard onto this machine, into a file without a name, and takes its SHA-256 on the way.
func (s *Set) copyOf(ctx context.Context, key string) (_ *os.File, sum string, err error) {
	file, err := os.CreateTemp("", "itrstream-verify-")
	if err != nil {
		return nil, "", fmt.Errorf("a place to read shards in: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := os.Remove(file.Name()); err != nil {
		return nil, "", fmt.Errorf("a place to read shards in: %w", err)
	}
	from, err := s.files.NewReader(ctx, key, nil)
	if err != nil {
		return nil, "", fmt.Errorf("reading shard %s: %w", key, err)
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), from)
	if err = errors.Join(err, from.Close()); err != nil {
		return nil, "", fmt.Errorf("reading shard %s: %w", key, err)
	}
	return file, hex.EncodeToString(hash.Sum(nil)), nil
}
