package collector

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector/duplicates"
	"github.com/itrstream/itrstream/schemas"
)

// seen remembers the rows that a new one may be a near duplicate of. The data
// set itself is where it is kept: after a start it is read back from the shards, and of
// a shard that never came to be nothing is left.
type seen struct {
	folder   *dataset.Folder
	alloc    memory.Allocator
	index    *duplicates.Index
	capacity int

	mu   sync.Mutex
	read map[origin]bool // what was read, or written by us
}

// origin is a shard whatever its revision: takedowns only take rows out.
type origin struct {
	input schemas.Partition
	from  int64
}

func newSeen(folder *dataset.Folder, alloc memory.Allocator, c duplicates.Config) (*seen, error) {
	index, err := duplicates.New(c)
	if err != nil {
		return nil, err
	}
	return &seen{folder: folder, alloc: alloc, index: index, capacity: c.Capacity, read: make(map[origin]bool)}, nil
}

// id names a row in the index.
func id(c *schemas.Collected) uint64 {
	sum := sha256.Sum256(append(append([]byte(c.ResultID), ' '), strconv.Itoa(c.Pair)...))
	return binary.BigEndian.Uint64(sum[:])
}

// own says that a shard's rows are in the index already.
func (s *seen) own(e dataset.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[origin{e.Input(), e.From}] = true
}

// refresh reads the shards that others have written since, the newest as many
// as fit.
func (s *seen) refresh(ctx context.Context) error {
	if s.capacity == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, err := s.folder.Entries(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b dataset.Entry) int { return cmp.Compare(b.Written.UnixNano(), a.Written.UnixNano()) })
	var due []dataset.Entry
	for rows := 0; len(entries) > 0 && rows < s.capacity; entries = entries[1:] {
		e := entries[0]
		rows += int(e.Rows)
		if e.Shard != "" && !s.read[origin{e.Input(), e.From}] {
			due = append(due, e)
		}
	}
	for _, e := range slices.Backward(due) {
		if err := s.load(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *seen) load(ctx context.Context, e dataset.Entry) error {
	r, err := s.folder.Shard(ctx, e.Shard, s.alloc)
	if dataset.IsNotExist(err) {
		return nil // a takedown has just rewritten it: the next refresh reads what is left
	}
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // it has nothing to close
	// All are remembered or none: after another try some would be there twice.
	var rows []dataset.Row
	for row, err := range r.Rows(ctx, dataset.ColResultID, dataset.ColPair, dataset.ColImageHash, dataset.ColTextHash) {
		if dataset.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("shard %s: %w", e.Shard, err)
		}
		rows = append(rows, row)
	}
	for i := range rows {
		if signature, ok := signatureOf(&rows[i]); ok {
			s.index.Remember(id(&rows[i].Collected), signature)
		}
	}
	s.read[origin{e.Input(), e.From}] = true
	return nil
}

// signatureOf reads what the row's columns say.
func signatureOf(row *dataset.Row) (duplicates.Signature, bool) {
	if row.ImageHash == nil {
		return duplicates.Signature{}, false
	}
	text, err := duplicates.ParseText(row.TextHash)
	return duplicates.Signature{Image: uint64(*row.ImageHash), Text: text}, err == nil //nolint:gosec // the bits are what counts
}

// forget takes rows out again.
func (s *seen) forget(rows []dataset.Row) {
	for i := range rows {
		if signature, ok := signatureOf(&rows[i]); ok {
			s.index.Forget(id(&rows[i].Collected), signature)
		}
	}
}
