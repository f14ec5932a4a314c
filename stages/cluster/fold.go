package cluster

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// Fold assigns a batch that starts at the cursor, moves the centroids, and
// advances the cursor to the batch's end, in one step of the store. It then
// adds ClusterFields to the batch and sets b.Events.
//
// After an error the batch is unchanged and Fold may be called again, also
// when nobody knows whether the store has applied it. ErrClaimAgain and
// ErrFenced ask for a new claim.
func (c *Claim) Fold(ctx context.Context, b *schemas.Batch) error {
	if b.Partition != c.partition || b.Offsets.First != c.cursor || b.Offsets.End <= b.Offsets.First {
		return fmt.Errorf("cluster: fold %s with the cursor of %s at %d", fieldOf(b.Partition, b.Offsets), c.partition, c.cursor)
	}
	pairs, xs, err := readPairs(b, c.stage.settings.Dim)
	if err != nil {
		return err
	}
	f := &fold{
		claim: c, stage: c.stage, span: b.Offsets, pairs: pairs, xs: xs, as: make([]assignment, len(pairs)),
		deleted: readDeleted(b),
	}
	f.deleted.unname(pairs)
	for attempt := 0; f.done == nil; attempt++ {
		if err := c.stage.pause(ctx, attempt); err != nil {
			return err
		}
		if err := f.try(ctx); err != nil {
			return fmt.Errorf("cluster: fold %s: %w", fieldOf(b.Partition, b.Offsets), err)
		}
	}
	c.stage.settings.Metrics.events(f.done.events)
	events, err := c.events(ctx, f.done)
	if err != nil {
		return fmt.Errorf("cluster: fold %s: %w", fieldOf(b.Partition, b.Offsets), err)
	}
	c.cursor, c.last = f.span.End, f.done
	b.Events = events
	addColumns(b, c.stage.settings.Alloc, pairs, f.as)
	return nil
}

// fold is one batch on its way into the store.
type fold struct {
	claim *Claim
	stage *Stage
	span  schemas.OffsetRange
	pairs []pair
	xs    vectors.Matrix // of all rows of the batch
	// as outlives an attempt: what was assigned stays, unless its centroid
	// is gone.
	as []assignment
	// deleted posts leave the centroids that name them.
	deleted deleted
	// told says that a refused fold has just told what the store holds.
	told bool
	done *record
}

// try makes one attempt. It returns nil with f.done unset when something has
// changed and another attempt will see it.
func (f *fold) try(ctx context.Context) error {
	set, err := f.stage.current(ctx, f.claim.incarnation)
	if err != nil {
		return err
	}
	if f.stage.sampleFull(set) {
		if set, err = f.stage.initialise(ctx, set); err != nil {
			return err
		}
	}
	if set, err = f.upToDate(ctx, set); err != nil {
		return err
	}
	f.assign(set) // the long part, before the turn

	giveBack, err := f.stage.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	if set = f.stage.set.Load(); !set.usable(f.claim.incarnation) {
		return nil
	}
	if set, err = f.readFirst(ctx, set); err != nil || set.stale {
		return err
	}
	f.assign(set)
	p, err := f.plan(set)
	if err != nil {
		return err
	}
	if p.ledger != nil {
		stages.Reach(ctx, stages.BeforeReseed)
	}
	reply, err := f.stage.settings.Store.Fold(ctx, p.request)
	if err != nil {
		f.stage.settings.Metrics.foldFailed()
		f.stage.doubt()
		return err
	}
	f.stage.settings.Metrics.fold(reply.Status)
	if reply.Status == FoldOK {
		switch {
		case p.sample != nil:
			stages.Reach(ctx, stages.DuringBootstrap)
		case p.ledger != nil:
			stages.Reach(ctx, stages.AfterReseed)
		}
	}
	return f.settle(set, p, reply)
}

// readFirst reads the centroids that the batch moves where other processes move
// them, too: their tags would hardly be the expected ones, and to be told so by
// a refused fold costs twice as much.
func (f *fold) readFirst(ctx context.Context, set *centroids) (*centroids, error) {
	told := f.told
	f.told = false
	if told || set.whole || set.sampling() {
		return set, nil
	}
	var ids []string
	for _, a := range f.as {
		if set.row(a.cluster) != nil {
			ids = append(ids, a.cluster)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	values, err := f.stage.settings.Store.Rows(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read centroids: %w", err)
	}
	var differ []Current
	for i, v := range values {
		if tag := set.row(ids[i]).tag; !bytes.HasPrefix(v, tag[:]) {
			differ = append(differ, Current{Kind: KindCentroid, ID: ids[i], Value: v})
		}
	}
	next, err := set.corrected(differ, f.stage.settings.Dim)
	if err != nil {
		return nil, err
	}
	f.stage.set.Store(next)
	return next, nil
}

// assign gives a centroid to the pairs that have none, or one that is gone.
func (f *fold) assign(set *centroids) {
	if set.sampling() {
		for i := range f.as {
			f.as[i] = assignment{status: schemas.ClusterBootstrapping}
		}
		return
	}
	var which []int
	for i, a := range f.as {
		if set.row(a.cluster) == nil {
			which = append(which, i)
		}
	}
	if len(which) > 0 {
		set.assign(f.xs, f.pairs, f.as, which)
	}
}

// plan is what an attempt asks for, and what holds once it is granted.
type plan struct {
	request FoldRequest
	as      []assignment
	record  *record
	rows    map[string]*row // changed; nil: retired
	ledger  *totals         // when it changes
	sample  *totals         // when it changes
}

func (f *fold) plan(set *centroids) (*plan, error) {
	p := &plan{
		as:     slices.Clone(f.as),
		record: &record{span: f.span, centroids: set.version, alarm: f.window()},
		rows:   make(map[string]*row),
	}
	p.request = FoldRequest{
		Incarnation: f.claim.incarnation, Partition: f.claim.partition, Token: f.claim.token,
		Range: f.span, Pairs: len(f.pairs), Sampling: set.sampling(),
	}
	var err error
	if set.sampling() {
		err = f.stage.planSample(p, set, f.pairs)
	} else {
		err = f.planRows(p, set)
	}
	if err != nil {
		return nil, err
	}
	for i, a := range p.as {
		p.record.entries = append(p.record.entries, entry{
			key: f.pairs[i].key, cluster: a.cluster, distance: a.distance, novel: a.novel,
		})
	}
	p.request.Record, err = p.record.encode()
	return p, err
}

func (f *fold) window() window {
	if f.claim.last == nil {
		return window{}
	}
	return f.claim.last.alarm
}

func (f *fold) planRows(p *plan, set *centroids) error {
	s, halfLife := f.stage, f.stage.config.halfLife()
	clock := set.pairs + int64(len(f.pairs))
	if err := f.planReseed(p, set, clock); err != nil {
		return err
	}
	added := make(map[string]*sums)
	novel := 0
	for i := range f.pairs {
		a := p.as[i]
		if added[a.cluster] == nil {
			added[a.cluster] = &sums{}
		}
		added[a.cluster].add(&f.pairs[i], a.distance, clock)
		if a.novel {
			novel++
		}
	}
	now := s.settings.Now()
	for _, id := range f.touched(p, set, added) {
		old := set.row(id)
		var expect []byte
		if old == nil {
			old = &row{touched: clock}
		} else {
			expect = old.tag[:]
		}
		next := f.deleted.strip(old)
		if added[id] != nil {
			next = next.fold(added[id], clock, halfLife)
			if due := time.UnixMilli(next.reported).Add(s.config.ReportEvery); !now.Before(due) {
				next.reported = now.UnixMilli()
				p.record.events = append(p.record.events, s.state(id, next))
			}
		}
		var err error
		if next.tag, err = s.newTag(); err != nil {
			return err
		}
		p.rows[id] = next
		p.request.Writes = append(p.request.Writes, Write{Kind: KindCentroid, ID: id, Expect: expect, Value: next.encode()})
	}
	window, share, alarm := p.record.alarm.add(len(f.pairs), novel, s.config.NoveltyShare)
	if p.record.alarm = window; alarm {
		p.record.events = append(p.record.events, s.alarm(p.as, share))
	}
	return nil
}

// planReseed retires a dead centroid into the ledger and gives the pair that
// starts the new one to it. The ledger is rewritten at every change of the
// set, so that its tag lets only one such change happen at a time.
func (f *fold) planReseed(p *plan, set *centroids, clock int64) error {
	s := f.stage
	change, ok := s.reseed(set, f.pairs, p.as, clock)
	if !ok {
		return nil
	}
	ledger := *set.ledger
	expect := ledger.tag
	old := set.row(change.replaces)
	if old != nil {
		ledger.count += old.count
		ledger.checksum += old.checksum
		p.rows[change.replaces] = nil
		p.request.Writes = append(p.request.Writes, Write{Kind: KindCentroid, ID: change.replaces, Expect: old.tag[:]})
		p.record.events = append(p.record.events, s.retired(change.replaces, old, clock))
	}
	if change.pair >= 0 {
		id, err := s.newName()
		if err != nil {
			return err
		}
		a := &p.as[change.pair]
		a.cluster, a.distance = id, 0
		start := &sums{}
		start.add(&f.pairs[change.pair], 0, clock)
		p.record.events = append(p.record.events,
			s.born(id, (&row{touched: clock}).fold(start, clock, s.config.halfLife()), change.replaces, old))
	}
	var err error
	if ledger.tag, err = s.newTag(); err != nil {
		return err
	}
	p.ledger = &ledger
	p.request.Writes = append(p.request.Writes, Write{Kind: KindTotals, ID: LedgerID, Expect: expect[:], Value: ledger.encode()})
	return nil
}

// settle takes in the store's answer. The caller holds the turn.
func (f *fold) settle(set *centroids, p *plan, reply FoldReply) error {
	s := f.stage
	switch reply.Status {
	case FoldOK:
		s.set.Store(set.after(p, reply, s.settings.Now()))
		p.record.stamp(reply.Version)
		f.as, f.done = p.as, p.record
		return nil
	case FoldConflict:
		next, err := set.corrected(reply.Conflicts, s.settings.Dim)
		if err != nil {
			return err
		}
		s.set.Store(next)
		f.told = true
		return nil
	case FoldWait:
		s.doubt()
		return nil
	case FoldDup, FoldCut:
		s.doubt()
		return f.adopt(reply)
	case FoldFenced:
		return fmt.Errorf("token %d: %w", f.claim.token, ErrFenced)
	case FoldBehind, FoldNoModel:
		s.doubt()
		return fmt.Errorf("%w (%s)", ErrClaimAgain, reply.Status)
	}
	return fmt.Errorf("the store answers %q", reply.Status)
}

// adopt takes what the store has recorded when the fold was applied but its
// reply was lost.
func (f *fold) adopt(reply FoldReply) error {
	last, err := decodeRecord(reply.Last)
	if err != nil {
		return err
	}
	if last == nil || last.span != f.span || reply.Cursor != f.span.End {
		return fmt.Errorf("%w (%s, cursor %d)", ErrClaimAgain, reply.Status, reply.Cursor)
	}
	known := last.byPair()
	for i := range f.pairs {
		e, ok := known[f.pairs[i].key]
		if !ok {
			// Folded by somebody who saw other pairs at these offsets.
			return fmt.Errorf("%w (%s without a pair of offset %d)", ErrClaimAgain, reply.Status, f.pairs[i].key.offset)
		}
		f.as[i] = e.assignment(last.centroids)
	}
	f.done = last
	return nil
}

// refreshEvery is how old centroids that others have moved may get. Those
// that a fold touches are exact in any case.
const refreshEvery = time.Second

// after returns the centroids as a granted plan leaves them.
func (c *centroids) after(p *plan, reply FoldReply, now time.Time) *centroids {
	next := *c
	if len(p.rows) > 0 {
		next = *c.with(p.rows)
	}
	if p.ledger != nil {
		next.ledger = p.ledger
	}
	if p.sample != nil {
		next.sample = p.sample
	}
	next.version, next.pairs = reply.Version, reply.Pairs
	others := reply.Version != c.version+1
	if next.whole = c.whole && !others; next.whole {
		next.loaded = now
	}
	next.stale = !next.sharesLedger(reply.Ledger) || others && now.Sub(c.loaded) >= refreshEvery
	return &next
}
