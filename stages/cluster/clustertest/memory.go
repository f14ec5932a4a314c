package clustertest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

// Memory is a cluster.CentroidStore in memory, and the specification of
// stores: each method says in a few lines what one atomic step does. It can
// go back in time, as Redis does when it restarts from an older state.
type Memory struct {
	// Now ages leases. It must not be nil.
	Now func() time.Time

	mu sync.Mutex
	st memoryState
}

type memoryState struct {
	incarnation    string
	version, pairs int64
	totals         map[string][]byte
	rows           map[string][]byte
	slots          map[int][]byte
	pos            map[schemas.Partition]position
	last           map[schemas.Partition]cluster.Recorded
	gap            map[schemas.Partition]schemas.OffsetRange
	lease          memoryLease
}

type position struct{ token, cursor, base int64 }

type memoryLease struct {
	holder string
	frozen bool
	until  time.Time
}

// NewMemory returns an empty store.
func NewMemory(now func() time.Time) *Memory {
	m := &Memory{Now: now}
	m.Lose()
	return m
}

// Lose forgets everything.
func (m *Memory) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.st = newMemoryState()
}

func newMemoryState() memoryState {
	return memoryState{
		totals: map[string][]byte{}, rows: map[string][]byte{}, slots: map[int][]byte{},
		pos: map[schemas.Partition]position{}, last: map[schemas.Partition]cluster.Recorded{},
		gap: map[schemas.Partition]schemas.OffsetRange{},
	}
}

// Save returns the state of this moment; restore brings it back.
func (m *Memory) Save() (restore func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	saved := m.st.clone()
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.st = saved.clone()
	}
}

// clone copies the maps. Values are never changed in place.
func (s memoryState) clone() memoryState {
	s.totals, s.rows, s.slots = maps.Clone(s.totals), maps.Clone(s.rows), maps.Clone(s.slots)
	s.pos, s.last, s.gap = maps.Clone(s.pos), maps.Clone(s.last), maps.Clone(s.gap)
	return s
}

// Claim implements cluster.CentroidStore.
func (m *Memory) Claim(_ context.Context, r cluster.ClaimRequest) (cluster.ClaimReply, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.st.incarnation == "" {
		m.st.incarnation = r.Incarnation
	}
	p, known := m.st.pos[r.Partition]
	base := r.Base
	if base < 0 {
		if base = r.Fallback; known {
			base = p.base
		}
	}
	cursor := base
	if known {
		cursor = p.cursor
	}
	var gap schemas.OffsetRange
	if cursor < r.Floor {
		gap = schemas.OffsetRange{First: cursor, End: r.Floor}
		m.st.gap[r.Partition] = gap
		cursor = r.Floor
	}
	p = position{token: p.token + 1, cursor: cursor, base: base}
	m.st.pos[r.Partition] = p
	return cluster.ClaimReply{
		Incarnation: m.st.incarnation, Token: p.token, Cursor: p.cursor, Base: p.base,
		Gap: gap, Last: m.st.last[r.Partition],
	}, nil
}

// Cursor implements cluster.CentroidStore.
func (m *Memory) Cursor(_ context.Context, p schemas.Partition) (incarnation string, cursor int64, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.st.pos[p]
	return m.st.incarnation, at.cursor, ok, nil
}

// Load implements cluster.CentroidStore.
func (m *Memory) Load(context.Context) (cluster.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.st.load(), nil
}

func (s memoryState) load() cluster.State {
	return cluster.State{
		Incarnation: s.incarnation, Version: s.version, Pairs: s.pairs,
		Ledger: s.totals[cluster.LedgerID], Sample: s.totals[cluster.SampleID],
		Rows: maps.Clone(s.rows),
	}
}

// Fold implements cluster.CentroidStore.
func (m *Memory) Fold(_ context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, known := m.st.pos[r.Partition]
	switch {
	case m.st.incarnation != r.Incarnation || !known:
		return cluster.FoldReply{Status: cluster.FoldNoModel}, nil
	case p.token > r.Token:
		return cluster.FoldReply{Status: cluster.FoldFenced}, nil
	case p.cursor >= r.Range.End:
		return cluster.FoldReply{Status: cluster.FoldDup, Cursor: p.cursor, Last: m.st.last[r.Partition]}, nil
	case p.cursor > r.Range.First:
		return cluster.FoldReply{Status: cluster.FoldCut, Cursor: p.cursor, Last: m.st.last[r.Partition]}, nil
	case p.cursor < r.Range.First:
		return cluster.FoldReply{Status: cluster.FoldBehind, Cursor: p.cursor}, nil
	case r.Sampling && m.st.lease.frozen && m.held():
		return cluster.FoldReply{Status: cluster.FoldWait}, nil
	}
	var differ []cluster.Current
	for _, w := range r.Writes {
		if now := m.of(w.Kind)[w.ID]; !bytes.Equal(tagOf(now), w.Expect) {
			differ = append(differ, cluster.Current{Kind: w.Kind, ID: w.ID, Value: now})
		}
	}
	if len(differ) > 0 {
		return cluster.FoldReply{Status: cluster.FoldConflict, Conflicts: differ}, nil
	}
	for _, w := range r.Writes {
		if w.Value == nil {
			delete(m.of(w.Kind), w.ID)
		} else {
			m.of(w.Kind)[w.ID] = slices.Clone(w.Value)
		}
	}
	for _, s := range r.Slots {
		m.st.slots[s.Index] = slices.Clone(s.Value)
	}
	m.st.pos[r.Partition] = position{token: r.Token, cursor: r.Range.End, base: p.base}
	m.st.version++
	m.st.pairs += int64(r.Pairs)
	m.st.last[r.Partition] = cluster.Recorded{Version: m.st.version, Record: slices.Clone(r.Record)}
	return cluster.FoldReply{
		Status: cluster.FoldOK, Version: m.st.version, Pairs: m.st.pairs,
		Ledger: tagOf(m.st.totals[cluster.LedgerID]),
	}, nil
}

func (m *Memory) of(k cluster.Kind) map[string][]byte {
	if k == cluster.KindTotals {
		return m.st.totals
	}
	return m.st.rows
}

func tagOf(value []byte) []byte { return value[:min(cluster.TagSize, len(value))] }

// Rows implements cluster.CentroidStore.
func (m *Memory) Rows(_ context.Context, ids []string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([][]byte, len(ids))
	for i, id := range ids {
		values[i] = m.st.rows[id]
	}
	return values, nil
}

// Slots implements cluster.CentroidStore.
func (m *Memory) Slots(_ context.Context, slots []int) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([][]byte, len(slots))
	for i, n := range slots {
		values[i] = m.st.slots[n]
	}
	return values, nil
}

func (m *Memory) held() bool {
	return m.st.lease.holder != "" && m.Now().Before(m.st.lease.until)
}

// Lease implements cluster.CentroidStore.
func (m *Memory) Lease(_ context.Context, holder string, ttl time.Duration, freeze bool) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held() && m.st.lease.holder != holder {
		return false, nil
	}
	m.st.lease = memoryLease{holder: holder, frozen: freeze, until: m.Now().Add(ttl)}
	return true, nil
}

// Release implements cluster.CentroidStore.
func (m *Memory) Release(_ context.Context, holder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.st.lease.holder == holder {
		m.st.lease = memoryLease{}
	}
	return nil
}

// Init implements cluster.CentroidStore.
func (m *Memory) Init(_ context.Context, r cluster.InitRequest) (cluster.InitReply, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.st.incarnation != r.Incarnation {
		return cluster.InitReply{Status: cluster.FoldNoModel}, nil
	}
	if !bytes.Equal(tagOf(m.st.totals[cluster.SampleID]), r.Expect) || m.st.totals[cluster.LedgerID] != nil || len(m.st.rows) > 0 {
		return cluster.InitReply{Status: cluster.FoldConflict}, nil
	}
	m.st.totals = map[string][]byte{cluster.SampleID: slices.Clone(r.Sample), cluster.LedgerID: slices.Clone(r.Ledger)}
	m.st.rows = maps.Clone(r.Rows)
	m.st.slots = map[int][]byte{}
	m.st.version++
	return cluster.InitReply{Status: cluster.FoldOK}, nil
}

// Snapshot implements cluster.CentroidStore.
func (m *Memory) Snapshot(context.Context) (cluster.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.st.incarnation == "" {
		return cluster.Snapshot{}, nil
	}
	s := cluster.Snapshot{State: m.st.load(), Slots: maps.Clone(m.st.slots)}
	for id, p := range m.st.pos {
		s.Partitions = append(s.Partitions, cluster.PartitionState{
			Partition: id, Token: p.token, Cursor: p.cursor, Base: p.base, Gap: m.st.gap[id], Last: m.st.last[id],
		})
	}
	cluster.SortPartitions(s.Partitions)
	return s, nil
}

// Restore implements cluster.CentroidStore.
func (m *Memory) Restore(_ context.Context, r cluster.RestoreRequest) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.st.incarnation != r.Replace {
		return false, nil
	}
	s := r.Snapshot
	m.st = newMemoryState()
	m.st.incarnation, m.st.version, m.st.pairs = s.Incarnation, s.Version, s.Pairs
	for id, v := range map[string][]byte{cluster.LedgerID: s.Ledger, cluster.SampleID: s.Sample} {
		if v != nil {
			m.st.totals[id] = v
		}
	}
	maps.Copy(m.st.rows, s.Rows)
	maps.Copy(m.st.slots, s.Slots)
	for _, p := range s.Partitions {
		m.st.pos[p.Partition] = position{token: p.Token, cursor: p.Cursor, base: p.Base}
		if p.Last.Record != nil {
			m.st.last[p.Partition] = p.Last
		}
		if p.Gap != (schemas.OffsetRange{}) {
			m.st.gap[p.Partition] = p.Gap
		}
	}
	return true, nil
}
