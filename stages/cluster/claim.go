package cluster

import (
	"context"
	"fmt"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// Position is where Kafka stands on a partition.
type Position struct {
	// Base is where this bundle began on the partition, as the metadata of
	// the committed offset tells; −1 when it doesn't.
	Base int64
	// Committed is the group's committed offset; −1 without one.
	Committed int64
	// Start is where to begin when neither Kafka nor the store knows.
	Start int64
	// LogStart and LogEnd bound the offsets that exist. They are read for
	// each claim anew.
	LogStart, LogEnd int64
}

// Claim is one worker's hold on one partition. Fold and Recall are called one
// after the other; Behind may be called meanwhile.
type Claim struct {
	stage       *Stage
	partition   schemas.Partition
	incarnation string
	token       int64
	base, from  int64
	gap         schemas.OffsetRange

	cursor int64
	last   *record // nil before the partition's first fold
}

// Claim takes a partition over from whoever held it. Centroids are read again
// before its first fold: those that a former owner named posts in must be seen
// when a post is deleted.
func (s *Stage) Claim(ctx context.Context, p schemas.Partition, at Position) (*Claim, error) {
	if at.Committed >= 0 && at.Committed < at.LogStart {
		return nil, fmt.Errorf("cluster: the group committed offset %d of %s, but its log starts at %d: posts were deleted before they were read; "+
			"set the group's offset to %d to accept the loss", at.Committed, p, at.LogStart, at.LogStart)
	}
	if known := max(at.Committed, at.Base); known > at.LogEnd {
		return nil, s.beyond(p, known, at.LogEnd, "the group committed offset")
	}
	name, err := s.newName()
	if err != nil {
		return nil, err
	}
	request := ClaimRequest{
		Partition: p, Incarnation: name,
		Base: at.Base, Fallback: at.Start, Floor: at.LogStart,
	}
	if at.Committed >= 0 {
		request.Fallback = at.Committed
		request.Floor = max(at.LogStart, at.Committed-s.config.MaxRefold)
	}
	reply, err := s.settings.Store.Claim(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("cluster: claim %s: %w", p, err)
	}
	if reply.Cursor > at.LogEnd {
		return nil, s.beyond(p, reply.Cursor, at.LogEnd, "the centroids hold everything up to offset")
	}
	s.forgiven.Delete(p)
	if err := s.distrust(ctx); err != nil {
		return nil, fmt.Errorf("cluster: claim %s: %w", p, err)
	}
	last, err := decodeRecord(reply.Last)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, p)
	}
	c := &Claim{
		stage: s, partition: p, incarnation: reply.Incarnation, token: reply.Token,
		base: reply.Base, from: at.Committed, gap: reply.Gap, cursor: reply.Cursor, last: last,
	}
	if c.from < 0 {
		c.from = max(at.LogStart, min(at.Start, c.resume()))
	}
	if r, ok := c.Gap(); ok {
		s.settings.Log.WarnContext(ctx, "offsets will never be folded into the centroids: they are gone from the log, or further back than max_refold",
			"stage", "cluster", "topic", p.Topic, "partition", p.ID, "offsets", r.String())
	}
	return c, nil
}

// beyond says that an offset lies behind the log's end. The first time it asks
// for another claim: the log may have grown since its end was read, and its
// former owner, who is fenced by now, may have gone on. Nothing but another
// topic of the same name explains the same offset a second time.
func (s *Stage) beyond(p schemas.Partition, offset, end int64, who string) error {
	if before, ok := s.forgiven.Swap(p, offset); !ok || before != offset {
		return fmt.Errorf("cluster: %s: offset %d is beyond the log's end, %d: %w", p, offset, end, ErrClaimAgain)
	}
	return fmt.Errorf("cluster: %s %d of %s, but its log ends at %d: the topic was probably recreated; reset the group's offset, "+
		"and choose another namespace to start the centroids anew, or remove the partition's fields from the store to keep them", who, offset, p, end)
}

// resume is where to go on when the group has lost its offset: a batch is
// committed before the next is folded, so at most the last one is not.
func (c *Claim) resume() int64 {
	if c.last != nil {
		return min(c.last.span.First, c.cursor)
	}
	return c.cursor
}

// Cursor is the next offset to fold (R of the design).
func (c *Claim) Cursor() int64 { return c.cursor }

// Base is the offset at which this bundle began on the partition. It belongs
// into the metadata of every committed offset: a store that has lost
// everything is folded again from there.
func (c *Claim) Base() int64 { return c.base }

// From is the next offset to emit (K of the design): the committed one.
// Without one it is where the last fold began, and the start position only
// where that lies before it: a group that has lost its offset skips nothing
// that the log still holds.
func (c *Claim) From() int64 { return c.from }

// Gap returns the offsets that this claim gave up folding, if there are any.
func (c *Claim) Gap() (schemas.OffsetRange, bool) { return c.gap, c.gap.End > c.gap.First }

// Behind reports whether the store no longer holds everything up to position:
// it has gone back in time, or lost or replaced its state. The caller then
// claims again.
func (c *Claim) Behind(ctx context.Context, position int64) (bool, error) {
	incarnation, cursor, ok, err := c.stage.settings.Store.Cursor(ctx, c.partition)
	if err != nil {
		return false, fmt.Errorf("cluster: read the cursor of %s: %w", c.partition, err)
	}
	return !ok || incarnation != c.incarnation || cursor < position, nil
}

// Recall adds ClusterFields to a batch that lies below the cursor, as its
// fold concluded, and folds nothing. Pairs that the last fold does not know
// are assigned afresh and say so. What that fold had to report is in b.Events
// of the batch that holds its last offset.
func (c *Claim) Recall(ctx context.Context, b *schemas.Batch) error {
	if b.Partition != c.partition || b.Offsets.End > c.cursor {
		return fmt.Errorf("cluster: recall %s with the cursor of %s at %d", fieldOf(b.Partition, b.Offsets), c.partition, c.cursor)
	}
	pairs, xs, err := readPairs(b, c.stage.settings.Dim)
	if err != nil {
		return err
	}
	as := make([]assignment, len(pairs))
	known := map[pairKey]entry{}
	if c.last != nil {
		known = c.last.byPair()
	}
	var fresh []int
	for i := range pairs {
		if e, ok := known[pairs[i].key]; ok {
			as[i] = e.assignment(c.last.centroids)
		} else {
			fresh = append(fresh, i)
		}
	}
	if err := c.reassign(ctx, xs, pairs, as, fresh); err != nil {
		return err
	}
	b.Events = nil
	if c.last != nil && b.Offsets.First < c.last.span.End && c.last.span.End <= b.Offsets.End {
		if b.Events, err = c.events(ctx, c.last); err != nil {
			return err
		}
	}
	addColumns(b, c.stage.settings.Alloc, pairs, as)
	return nil
}

func (c *Claim) reassign(ctx context.Context, xs vectors.Matrix, pairs []pair, as []assignment, fresh []int) error {
	if len(fresh) == 0 {
		return nil
	}
	set, err := c.stage.current(ctx, c.incarnation)
	if err != nil {
		return err
	}
	if set.sampling() {
		for _, i := range fresh {
			as[i] = assignment{status: schemas.ClusterBootstrapping}
		}
		return nil
	}
	set.assign(xs, pairs, as, fresh)
	for _, i := range fresh {
		as[i].status = schemas.ClusterReassigned
	}
	return nil
}

func (e entry) assignment(version int64) assignment {
	if e.cluster == "" {
		return assignment{status: schemas.ClusterBootstrapping}
	}
	return assignment{
		cluster: e.cluster, status: schemas.ClusterAssigned,
		distance: e.distance, novel: e.novel, version: version,
	}
}
