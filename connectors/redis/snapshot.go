package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

const gapPrefix = "gap "

// Snapshot implements cluster.CentroidStore. As in Load a transaction reads
// everything in one step.
func (s *Store) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	const what = "read a snapshot"
	var all [lease]*goredis.MapStringStringCmd
	_, err := s.client.rdb.TxPipelined(ctx, func(tx goredis.Pipeliner) error {
		for i := range all {
			all[i] = tx.HGetAll(ctx, s.keys[i])
		}
		return nil
	})
	if err != nil {
		return cluster.Snapshot{}, s.client.classify(what, err)
	}
	m := all[meta].Val()
	if len(m) == 0 {
		return cluster.Snapshot{}, nil
	}
	f := fields{raw: []any{m["incarnation"], or0(m["version"]), or0(m["pairs"]), m[cluster.LedgerID], m[cluster.SampleID]}}
	snap := cluster.Snapshot{
		State: cluster.State{
			Incarnation: string(f.bytes()), Version: f.int64(), Pairs: f.int64(), Ledger: f.value(), Sample: f.value(),
			Rows: make(map[string][]byte, len(all[rows].Val())),
		},
		Slots: make(map[int][]byte, len(all[sample].Val())),
	}
	if err := f.check(what); err != nil {
		return cluster.Snapshot{}, err
	}
	for id, v := range all[rows].Val() {
		snap.Rows[id] = []byte(v)
	}
	for name, v := range all[sample].Val() {
		n, err := strconv.Atoi(name)
		if err != nil {
			return cluster.Snapshot{}, fmt.Errorf("redis: %s: %s has the field %q: not a slot", what, s.keys[sample], name)
		}
		snap.Slots[n] = []byte(v)
	}
	for name, at := range all[pos].Val() {
		p, err := partitionState(name, at, m[gapPrefix+name], all[last].Val()[name])
		if err != nil {
			return cluster.Snapshot{}, fmt.Errorf("redis: %s: %w", what, err)
		}
		snap.Partitions = append(snap.Partitions, p)
	}
	cluster.SortPartitions(snap.Partitions)
	return snap, nil
}

func or0(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

func partitionState(name, at, gap, last string) (cluster.PartitionState, error) {
	topic, number, ok := cutLast(name, '/')
	id, err := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil {
		return cluster.PartitionState{}, fmt.Errorf("%q is no partition", name)
	}
	f := fields{}
	parts := strings.Fields(at + " " + gap)
	if gap == "" {
		parts = append(parts, "0", "0")
	}
	list := make([]any, 0, len(parts)+1)
	for _, p := range parts {
		list = append(list, p)
	}
	if last == "" {
		list = append(list, nil)
	} else {
		list = append(list, last)
	}
	f.raw = list
	return cluster.PartitionState{
		Partition: schemas.Partition{Topic: topic, ID: int32(id)}, Token: f.int64(), Cursor: f.int64(), Base: f.int64(),
		Gap: schemas.OffsetRange{First: f.int64(), End: f.int64()}, Last: f.recorded(),
	}, f.check("position of " + name)
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// Restore implements cluster.CentroidStore.
func (s *Store) Restore(ctx context.Context, r cluster.RestoreRequest) (bool, error) {
	snap := r.Snapshot
	var hashes [lease]map[string]any
	for i := range hashes {
		hashes[i] = map[string]any{}
	}
	hashes[meta]["incarnation"] = snap.Incarnation
	for name, n := range map[string]int64{"version": snap.Version, "pairs": snap.Pairs} {
		hashes[meta][name] = n
	}
	for name, v := range map[string][]byte{cluster.LedgerID: snap.Ledger, cluster.SampleID: snap.Sample} {
		if v != nil {
			hashes[meta][name] = v
		}
	}
	for id, v := range snap.Rows {
		hashes[rows][id] = v
	}
	for n, v := range snap.Slots {
		hashes[sample][strconv.Itoa(n)] = v
	}
	for _, p := range snap.Partitions {
		name := p.Partition.String()
		hashes[pos][name] = fmt.Sprintf("%d %d %d", p.Token, p.Cursor, p.Base)
		if p.Gap != (schemas.OffsetRange{}) {
			hashes[meta][gapPrefix+name] = fmt.Sprintf("%d %d", p.Gap.First, p.Gap.End)
		}
		if p.Last.Record != nil {
			hashes[last][name] = fmt.Sprintf("%d %s", p.Last.Version, p.Last.Record)
		}
	}
	args := []any{r.Replace}
	for _, h := range hashes {
		args = append(args, len(h))
		for _, name := range slices.Sorted(maps.Keys(h)) {
			args = append(args, name, h[name])
		}
	}
	raw, err := s.run(ctx, "restore a snapshot", restoreScript, args...)
	return raw == int64(1), err
}
