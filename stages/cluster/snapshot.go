package cluster

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/itrstream/itrstream/schemas"
)

// Snapshot is everything that a store holds: centroids and cursors of one
// moment. It may be restored at any time, for the cursors say from where to
// fold again.
type Snapshot struct {
	State
	Slots map[int][]byte
	// Partitions are in order of topic and number.
	Partitions []PartitionState
}

// PartitionState is what a store holds for one partition.
type PartitionState struct {
	Partition           schemas.Partition
	Token, Cursor, Base int64
	// Gap are the latest offsets that were given up folding.
	Gap  schemas.OffsetRange
	Last Recorded
}

// SortPartitions puts partitions into the order of a Snapshot.
func SortPartitions(ps []PartitionState) {
	slices.SortFunc(ps, func(a, b PartitionState) int {
		return cmp.Or(cmp.Compare(a.Partition.Topic, b.Partition.Topic), cmp.Compare(a.Partition.ID, b.Partition.ID))
	})
}

// Origin says where and when a snapshot was taken.
type Origin struct {
	Namespace   string    `json:"namespace"`
	ModelDigest string    `json:"model_digest"`
	Dim         int       `json:"dim"`
	Taken       time.Time `json:"taken"`
}

const snapshotFormat = "itrstream.centroids.v1"

// snapshotFile is a snapshot as JSON.
type snapshotFile struct {
	Format string `json:"format"`
	Origin
	Snapshot Snapshot `json:"snapshot"`
}

// WriteSnapshot writes a file that ReadSnapshot reads. It names no post: files
// are kept for longer than anybody can delete from them.
func WriteSnapshot(w io.Writer, o Origin, s Snapshot) error {
	s, err := s.nameless(o.Dim)
	if err != nil {
		return fmt.Errorf("cluster: write a snapshot: %w", err)
	}
	z := gzip.NewWriter(w) // for its checksum
	if err := errors.Join(json.NewEncoder(z).Encode(snapshotFile{Format: snapshotFormat, Origin: o, Snapshot: s}), z.Close()); err != nil {
		return fmt.Errorf("cluster: write a snapshot: %w", err)
	}
	return nil
}

// ReadSnapshot reads a file, and checks all that a stage would read from it.
// Posts that a file of an earlier version names are left out: they may have
// been deleted since.
func ReadSnapshot(r io.Reader) (Origin, Snapshot, error) {
	f, err := readSnapshotFile(r)
	if err != nil {
		return Origin{}, Snapshot{}, fmt.Errorf("cluster: this is no whole snapshot of centroids: %w", err)
	}
	return f.Origin, f.Snapshot, nil
}

func readSnapshotFile(r io.Reader) (f snapshotFile, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return f, err
	}
	d := json.NewDecoder(z)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, err
	}
	// Behind the JSON comes the checksum.
	if rest, err := io.Copy(io.Discard, io.MultiReader(d.Buffered(), z)); err != nil || rest > 1 {
		return f, errors.Join(err, fmt.Errorf("%d bytes follow it", rest))
	}
	if f.Format != snapshotFormat {
		return f, fmt.Errorf("its format is %q, not %q", f.Format, snapshotFormat)
	}
	if f.Dim < 1 || f.Snapshot.Incarnation == "" {
		return f, fmt.Errorf("it holds no state (dim %d)", f.Dim)
	}
	if _, err := decodeState(f.Snapshot.State, f.Dim, f.Taken); err != nil {
		return f, err
	}
	f.Snapshot, err = f.Snapshot.nameless(f.Dim)
	return f, err
}

// nameless returns the snapshot without post ids. It reads everything, and so
// fails where a stage would.
func (s Snapshot) nameless(dim int) (Snapshot, error) {
	s.Rows, s.Slots, s.Partitions = maps.Clone(s.Rows), maps.Clone(s.Slots), slices.Clone(s.Partitions)
	for id, v := range s.Rows {
		r, err := decodeRow(v, dim)
		if err != nil {
			return s, fmt.Errorf("%w (cluster %s)", err, id)
		}
		r.nearest = nil
		s.Rows[id] = r.encode()
	}
	for i, v := range s.Slots {
		p, err := decodeMember(v, dim)
		if err != nil {
			return s, fmt.Errorf("%w (slot %d)", err, i)
		}
		s.Slots[i] = encodeMember(p)
	}
	for i, p := range s.Partitions {
		r, err := decodeRecord(p.Last)
		if err != nil {
			return s, fmt.Errorf("%w (%s)", err, p.Partition)
		}
		if r == nil {
			continue
		}
		if s.Partitions[i].Last.Record, err = r.encode(); err != nil {
			return s, err
		}
	}
	return s, nil
}

// ErrHolds means that the store holds a state already.
var ErrHolds = errors.New("the store holds centroids already")

// Restore brings a snapshot back under a new incarnation: workers that still
// hold the former state claim again, and fold what the snapshot does not have,
// as far as the log and max_refold reach. Without replace it fails with
// ErrHolds where the store holds anything.
func Restore(ctx context.Context, store CentroidStore, s Snapshot, replace bool) error {
	st, err := store.Load(ctx)
	if err != nil {
		return fmt.Errorf("cluster: read the centroids: %w", err)
	}
	if st.Incarnation != "" && !replace {
		return fmt.Errorf("%w: %d pairs after %d folds, against %d and %d in the snapshot",
			ErrHolds, st.Pairs, st.Version, s.Pairs, s.Version)
	}
	s.Incarnation = rand.Text()
	done, err := store.Restore(ctx, RestoreRequest{Replace: st.Incarnation, Snapshot: s})
	switch {
	case err != nil:
		return fmt.Errorf("cluster: restore: %w", err)
	case !done:
		// A lost reply looks the same, and then it is done.
		if now, err := store.Load(ctx); err != nil || now.Incarnation != s.Incarnation {
			return errors.Join(err, errors.New("cluster: the store has got another state meanwhile; nothing is changed: try again"))
		}
	}
	return nil
}
