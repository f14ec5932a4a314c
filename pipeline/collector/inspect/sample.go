package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/itrstream/itrstream/connectors/dataset"
)

// Sample returns count rows with image and text, or fewer where there are fewer, chosen by seed alone: those whose hashes with it
// are smallest. So the choice is even over all rows, does not hang on how they lie in shards, and changes little as the data set
// grows. relation leaves all others out unless it is empty.
func (s *Set) Sample(ctx context.Context, count int, seed uint64, relation string) ([]dataset.Row, error) {
	type place struct {
		rank  uint64
		entry dataset.Entry
		id    string
	}
	var chosen []place
	var at dataset.Entry
	err := s.rows(ctx, func(e dataset.Entry) { at = e }, func(r *dataset.Row) {
		if relation != "" && r.Collected.Relation != relation {
			return
		}
		p := place{rank: rank(seed, r), entry: at, id: idOf(r)}
		if len(chosen) == count && p.rank >= chosen[count-1].rank {
			return
		}
		to, _ := slices.BinarySearchFunc(chosen, p.rank, func(c place, rank uint64) int {
			if c.rank < rank {
				return -1
			}
			return 1
		})
		chosen = slices.Insert(chosen, to, p)[:min(len(chosen)+1, count)]
	}, dataset.ColRelation, dataset.ColResultID, dataset.ColPair)
	if err != nil {
		return nil, err
	}
	wanted := map[string]int{}
	entries := map[string]dataset.Entry{}
	for i, p := range chosen {
		wanted[p.id] = i
		entries[p.entry.Shard] = p.entry
	}
	rows := make([]dataset.Row, len(chosen))
	for _, e := range entries {
		if err := s.shard(ctx, e, func(now dataset.Entry) error { return s.pick(ctx, now, wanted, rows) }); err != nil {
			return nil, err
		}
	}
	// Taken down since.
	return slices.DeleteFunc(rows, func(r dataset.Row) bool { return r.Collected.ResultID == "" }), nil
}

// pick fills in the wanted rows of one shard.
func (s *Set) pick(ctx context.Context, e dataset.Entry, wanted map[string]int, rows []dataset.Row) error {
	r, err := s.folder.Shard(ctx, e.Shard, s.alloc)
	if err != nil {
		return err
	}
	for row, err := range r.Rows(ctx, dataset.ColImage, dataset.ColText, dataset.ColRelation, dataset.ColScores, dataset.ColResultID, dataset.ColPair) {
		if err != nil {
			return errors.Join(fmt.Errorf("shard %s: %w", e.Shard, err), r.Close())
		}
		if i, ok := wanted[idOf(&row)]; ok {
			rows[i] = row
		}
	}
	return r.Close()
}

func idOf(r *dataset.Row) string { return string(hashOf(r)) }

func rank(seed uint64, r *dataset.Row) uint64 {
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, seed), hashOf(r)...))
	return binary.BigEndian.Uint64(sum[:])
}
