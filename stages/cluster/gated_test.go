package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
)

// gated is the world's store as its processes reach it: through a network
// that loses requests and replies, and delays some beyond their caller's
// patience.
type gated struct {
	w *world
}

var errLost = &stages.Transient{Err: errors.New("connection reset")}

// through makes one call. A lost request may still arrive, much later.
func through[R any](ctx context.Context, g *gated, call func() R) (reply R, err error) {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok { // the test itself
		return call(), nil
	}
	if err := g.w.gate(ctx); err != nil {
		return reply, err
	}
	switch a.random.IntN(40) {
	case 0:
		return reply, errLost
	case 1:
		g.w.mu.Lock()
		g.w.late = append(g.w.late, func() { call(); g.w.save() })
		g.w.mu.Unlock()
		return reply, errLost
	}
	reply = call()
	g.w.save()
	if a.random.IntN(16) == 0 {
		var none R
		return none, errLost
	}
	return reply, g.w.gate(ctx)
}

func (g *gated) Claim(ctx context.Context, r cluster.ClaimRequest) (cluster.ClaimReply, error) {
	return through(ctx, g, func() cluster.ClaimReply {
		reply, _ := g.w.store.Claim(ctx, r)
		return reply
	})
}

func (g *gated) Cursor(ctx context.Context, p schemas.Partition) (incarnation string, cursor int64, ok bool, err error) {
	_, err = through(ctx, g, func() bool {
		incarnation, cursor, ok, _ = g.w.store.Cursor(ctx, p)
		return ok
	})
	return incarnation, cursor, ok, err
}

func (g *gated) Load(ctx context.Context) (cluster.State, error) {
	return through(ctx, g, func() cluster.State {
		st, _ := g.w.store.Load(ctx)
		return st
	})
}

func (g *gated) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	return through(ctx, g, func() cluster.FoldReply {
		reply, _ := g.w.store.Fold(ctx, r)
		g.w.note(r, reply)
		return reply
	})
}

func (g *gated) Rows(ctx context.Context, ids []string) ([][]byte, error) {
	return through(ctx, g, func() [][]byte {
		g.w.hit("read first")
		values, _ := g.w.store.Rows(ctx, ids)
		return values
	})
}

func (g *gated) Slots(ctx context.Context, slots []int) ([][]byte, error) {
	return through(ctx, g, func() [][]byte {
		values, _ := g.w.store.Slots(ctx, slots)
		return values
	})
}

func (g *gated) Lease(ctx context.Context, holder string, ttl time.Duration, freeze bool) (bool, error) {
	return through(ctx, g, func() bool {
		// Leases of minutes would outlast the world.
		ok, _ := g.w.store.Lease(ctx, holder, ttl/1000, freeze)
		return ok
	})
}

func (g *gated) Release(ctx context.Context, holder string) error {
	_, err := through(ctx, g, func() bool {
		_ = g.w.store.Release(ctx, holder)
		return true
	})
	return err
}

func (g *gated) Init(ctx context.Context, r cluster.InitRequest) (cluster.InitReply, error) {
	return through(ctx, g, func() cluster.InitReply {
		reply, _ := g.w.store.Init(ctx, r)
		g.w.hit("init " + string(reply.Status))
		return reply
	})
}

func (g *gated) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	return g.w.store.Snapshot(ctx)
}

func (g *gated) Restore(ctx context.Context, r cluster.RestoreRequest) (bool, error) {
	return g.w.store.Restore(ctx, r)
}

func (w *world) hit(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[what]++
}

// note remembers what a fold has recorded. Without a rollback no pair is
// folded twice.
func (w *world) note(r cluster.FoldRequest, reply cluster.FoldReply) {
	w.hit("fold " + string(reply.Status))
	if reply.Status != cluster.FoldOK {
		return
	}
	pairs, events, err := cluster.FoldedOf(cluster.Recorded{Version: reply.Version, Record: r.Record})
	if err != nil {
		w.fail("record of %s %s: %v", r.Partition, r.Range, err)
	}
	for _, wr := range r.Writes {
		if wr.Kind == cluster.KindTotals && wr.ID == cluster.LedgerID {
			w.hit("reseed")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events += events
	for _, f := range pairs {
		key := fmt.Sprint(r.Partition, " ", f.Offset, " ", f.Image)
		if _, ok := w.folded[key]; ok && !w.rolled && w.failure == "" {
			w.failure = "folded twice: " + key
		}
		w.folded[key] = f.Cluster
	}
}
