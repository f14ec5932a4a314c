package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

// Conform drives a store and a Memory through the same random steps, right
// and wrong ones, and fails where they answer differently. fresh returns an
// empty store.
func Conform(t *testing.T, schedules, steps int, fresh func(tb testing.TB) cluster.CentroidStore) {
	t.Helper()
	for seed := range uint64(schedules) {
		d := &duel{
			random: rand.New(rand.NewPCG(seed, 7)),
			want:   NewMemory(func() time.Time { return time.Time{} }), got: fresh(t), tokens: map[schemas.Partition]int64{},
		}
		for step := range steps {
			want, got := d.step(t.Context())
			require.Equal(t, want, got, "schedule %d, step %d", seed, step)
		}
	}
}

// duel is one schedule. Its requests come from what Memory holds, so that
// most are nearly right.
type duel struct {
	random *rand.Rand
	want   *Memory
	got    cluster.CentroidStore
	tokens map[schemas.Partition]int64
	kept   []cluster.Snapshot
	names  int
}

// answer is anything a store says, with errors as text.
type answer struct {
	reply any
	err   string
}

func answerOf(reply any, err error) answer {
	if err != nil {
		return answer{err: err.Error()}
	}
	return answer{reply: reply}
}

func (d *duel) step(ctx context.Context) (want, got answer) {
	both := func(f func(s cluster.CentroidStore) answer) (answer, answer) { return f(d.want), f(d.got) }
	p := schemas.Partition{Topic: "posts", ID: int32(d.random.IntN(2))}
	switch n := d.random.IntN(23); {
	case n == 20:
		want, got = both(func(s cluster.CentroidStore) answer { return answerOf(s.Snapshot(ctx)) })
		if kept := want.reply.(cluster.Snapshot); kept.Incarnation != "" {
			d.kept = append(d.kept, kept)
		}
		return want, got
	case n == 21:
		if len(d.kept) == 0 || d.random.IntN(3) > 0 {
			return answer{}, answer{}
		}
		r := cluster.RestoreRequest{Replace: d.incarnation(), Snapshot: d.kept[d.random.IntN(len(d.kept))]}
		r.Snapshot.Incarnation = d.name()
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Restore(ctx, r)) })
	case n == 22:
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Rows(ctx, []string{"d", "a", "c"})) })
	case n < 2:
		r := cluster.ClaimRequest{
			Partition: p, Incarnation: d.name(), Base: int64(d.random.IntN(8)) - 1,
			Fallback: int64(d.random.IntN(20)), Floor: int64(d.random.IntN(12)),
		}
		want, got = both(func(s cluster.CentroidStore) answer { return answerOf(s.Claim(ctx, r)) })
		d.tokens[p] = want.reply.(cluster.ClaimReply).Token
		return want, got
	case n < 3:
		return both(func(s cluster.CentroidStore) answer {
			incarnation, cursor, ok, err := s.Cursor(ctx, p)
			return answerOf(fmt.Sprint(incarnation, cursor, ok), err)
		})
	case n < 5:
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Load(ctx)) })
	case n < 6:
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Slots(ctx, []int{0, 3, 1})) })
	case n < 7:
		holder, freeze := d.holder(), d.random.IntN(2) == 0
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Lease(ctx, holder, time.Hour, freeze)) })
	case n < 8:
		holder := d.holder()
		return both(func(s cluster.CentroidStore) answer { return answerOf(nil, s.Release(ctx, holder)) })
	case n < 9:
		r := d.init()
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Init(ctx, r)) })
	default:
		r := d.fold(p)
		return both(func(s cluster.CentroidStore) answer { return answerOf(s.Fold(ctx, r)) })
	}
}

func (d *duel) holder() string { return []string{"one", "two"}[d.random.IntN(2)] }

func (d *duel) name() string {
	d.names++
	return fmt.Sprint("state-", d.names)
}

// value is a random tag with a body that holds every kind of byte.
func (d *duel) value() []byte {
	b := make([]byte, cluster.TagSize+d.random.IntN(40))
	for i := range b {
		b[i] = byte(d.random.Uint32())
	}
	return b
}

// nearly returns n, or something else.
func (d *duel) nearly(n int64) int64 {
	if d.random.IntN(8) > 0 {
		return n
	}
	return max(0, n+int64(d.random.IntN(7))-3)
}

func (d *duel) expect(value []byte) []byte {
	if d.random.IntN(10) == 0 {
		return d.value()[:cluster.TagSize]
	}
	return tagOf(value)
}

func (d *duel) incarnation() string {
	if d.want.st.incarnation == "" || d.random.IntN(20) == 0 {
		return d.name()
	}
	return d.want.st.incarnation
}

func (d *duel) fold(p schemas.Partition) cluster.FoldRequest {
	from := d.nearly(d.want.st.pos[p].cursor)
	r := cluster.FoldRequest{
		Incarnation: d.incarnation(), Partition: p, Token: d.nearly(d.tokens[p]),
		Range: schemas.OffsetRange{First: from, End: from + 1 + int64(d.random.IntN(4))},
		Pairs: d.random.IntN(5), Record: d.value(), Sampling: d.random.IntN(2) == 0,
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		if d.random.IntN(3) > 0 {
			continue
		}
		w := cluster.Write{Kind: cluster.KindCentroid, ID: id, Expect: d.expect(d.want.st.rows[id]), Value: d.value()}
		if d.random.IntN(6) == 0 {
			w.Value = nil
		}
		r.Writes = append(r.Writes, w)
	}
	for _, id := range []string{cluster.SampleID, cluster.LedgerID} {
		if d.random.IntN(4) == 0 && (id == cluster.SampleID || d.want.st.totals[id] != nil) {
			r.Writes = append(r.Writes, cluster.Write{Kind: cluster.KindTotals, ID: id, Expect: d.expect(d.want.st.totals[id]), Value: d.value()})
		}
	}
	for range d.random.IntN(3) {
		r.Slots = append(r.Slots, cluster.Slot{Index: d.random.IntN(5), Value: d.value()})
	}
	return r
}

func (d *duel) init() cluster.InitRequest {
	r := cluster.InitRequest{
		Incarnation: d.incarnation(), Expect: d.expect(d.want.st.totals[cluster.SampleID]),
		Sample: d.value(), Ledger: d.value(), Rows: map[string][]byte{},
	}
	for _, id := range []string{"a", "b", "c"}[:1+d.random.IntN(3)] {
		r.Rows[id] = d.value()
	}
	return r
}
