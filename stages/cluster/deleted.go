package cluster

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/schemas"
)

// Named returns the ids of the posts that the centroids of a store's state
// name, each once for each centroid. dim is the width of the embeddings.
func Named(st State, dim int) (posts []string, err error) {
	set, err := decodeState(st, dim, time.Time{})
	if err != nil {
		return nil, err
	}
	for _, r := range set.rows {
		posts = append(posts, r.representatives()...)
	}
	return posts, nil
}

// deleted holds the ids of posts that a batch deletes, each with the offset of
// its last delete. Ids are as decode has stored them, hashed where the
// configuration says so, and so are those of representatives.
type deleted map[string]int64

func readDeleted(b *schemas.Batch) deleted {
	posts := b.Posts()
	if !schemas.Has(posts, schemas.PostOp) || !schemas.Has(posts, schemas.PostID) {
		return nil
	}
	ops, ids := schemas.Col[*array.String](posts, schemas.PostOp), schemas.Col[*array.String](posts, schemas.PostID)
	offsets := schemas.Col[*array.Int64](posts, schemas.RecordOffset)
	var d deleted
	for i := range ops.Len() {
		if ops.IsNull(i) || ids.IsNull(i) || schemas.Op(ops.Value(i)) != schemas.OpDelete {
			continue
		}
		if d == nil {
			d = make(deleted)
		}
		d[ids.Value(i)] = offsets.Value(i)
	}
	return d
}

// unname takes the names off pairs whose post the batch deletes further on. A
// post that comes again after its delete is a new one.
func (d deleted) unname(pairs []pair) {
	for i := range pairs {
		if at, ok := d[pairs[i].post]; ok && at > pairs[i].key.offset {
			pairs[i].post = ""
		}
	}
}

// hits says whether a row names one of the deleted posts.
func (d deleted) hits(r *row) bool {
	return len(d) > 0 && slices.ContainsFunc(r.nearest, func(p representative) bool { return d.has(p.post) })
}

func (d deleted) has(post string) bool {
	_, ok := d[post]
	return ok
}

// strip returns the row without the deleted posts; the row itself where it
// names none of them. Nothing else of it changes.
func (d deleted) strip(r *row) *row {
	if !d.hits(r) {
		return r
	}
	next := *r
	next.nearest = slices.DeleteFunc(slices.Clone(r.nearest), func(p representative) bool { return d.has(p.post) })
	return &next
}

// touched returns the ids of the centroids that a batch changes: those it adds
// to, and those that name a post it deletes. Retired ones are not among them.
func (f *fold) touched(p *plan, set *centroids, added map[string]*sums) []string {
	ids := slices.Collect(maps.Keys(added))
	if len(f.deleted) > 0 {
		for i, r := range set.rows {
			id := set.ids[i]
			_, retired := p.rows[id]
			if added[id] == nil && !retired && f.deleted.hits(r) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// upToDate has centroids read again that are too old to tell who names a post
// that is to be deleted. What this partition's former owners have folded is
// seen in any case, for a claim has everything read again.
func (f *fold) upToDate(ctx context.Context, set *centroids) (*centroids, error) {
	s := f.stage
	if len(f.deleted) == 0 || set.sampling() || s.settings.Now().Sub(set.loaded) < refreshEvery {
		return set, nil
	}
	if err := s.distrust(ctx); err != nil {
		return nil, err
	}
	return s.current(ctx, f.claim.incarnation)
}

// events returns what a fold had to report. States from a stored record, which
// names no posts, get the representatives of now.
func (c *Claim) events(ctx context.Context, r *record) ([]schemas.ClusterEvent, error) {
	events := slices.Clone(r.events)
	if !r.stored {
		return events, nil
	}
	for i := range events {
		if events[i].Type != stateEvent {
			continue
		}
		set, err := c.stage.current(ctx, c.incarnation)
		if err != nil {
			return nil, err
		}
		if r := set.row(events[i].Cluster); r != nil {
			events[i].Representatives = r.representatives()
		}
	}
	return events, nil
}
