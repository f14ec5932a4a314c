package takedown

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/stages"
)

// Report is what a sweep has done.
type Report struct {
	// Rows were taken out of shards; they come without their images.
	Rows []dataset.Row
	// Shards are the paths of those that were rewritten, as they were.
	Shards []string
	// Images are the digests of those that were deleted.
	Images []string
	// Waiting are the digests of those that go later: see images.Grace.
	Waiting []string
}

// Sweep makes the takedowns last, reads those of others, and takes out of the
// data set what is to go by now. It reports what it did beside an error, too.
func (r *Reaper) Sweep(ctx context.Context) (Report, error) {
	r.sweeping.Lock()
	defer r.sweeping.Unlock()
	var report Report
	for {
		if err := r.taken.Save(ctx); err != nil {
			return report, err
		}
		if err := r.taken.Refresh(ctx); err != nil {
			return report, err
		}
		keys, due := r.due()
		if !due {
			return report, nil
		}
		rewritten := len(report.Shards)
		err := r.look(ctx, keys, &report)
		if err == nil && len(report.Shards) > rewritten && r.set.Changed != nil {
			err = r.set.Changed(ctx)
		}
		if err == nil {
			err = r.reap(ctx, &report)
		}
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.own, r.again = append(r.own, keys...), true
			return report, err
		}
	}
}

// Look is a Sweep that goes through the log in any case: others may have
// written shards since.
func (r *Reaper) Look(ctx context.Context) (Report, error) {
	r.mu.Lock()
	r.again = true
	r.mu.Unlock()
	return r.Sweep(ctx)
}

// due returns what is to be looked for in all shards, and whether there is
// anything to do.
func (r *Reaper) due() (keys []uint64, due bool) {
	fresh, now := r.taken.Fresh(), r.set.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, r.own = append(r.own, fresh.Own...), nil
	if len(fresh.Others) > 0 {
		r.others = append(r.others, heard{fresh: fresh.Others, at: now})
	}
	for len(r.others) > 0 && now.Sub(r.others[0].at) >= r.set.Patience {
		keys = append(keys, r.others[0].fresh...)
		r.others = r.others[1:]
	}
	due = r.again || len(keys) > 0
	for _, at := range r.loose {
		due = due || !now.Before(at)
	}
	r.again = false
	return keys, due
}

// look goes through all shards that hold, and rewrites those with rows that
// are to go.
func (r *Reaper) look(ctx context.Context, keys []uint64, report *Report) error {
	r.mu.Lock()
	litter := r.litter
	r.litter = true // unless this look comes to its end
	clear(r.came)
	r.mu.Unlock()
	chains, err := r.set.Folder.Chains(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex // of report and seen
	seen := make(map[string]bool)
	g, work := errgroup.WithContext(ctx)
	g.SetLimit(sweepTogether)
	for _, c := range chains {
		g.Go(func() error {
			if litter {
				if _, err := c.Sweep(work, r.set.Now()); err != nil {
					return err
				}
			}
			for _, e := range c.Entries() {
				now, gone, err := r.shard(work, c, e, keys)
				mu.Lock()
				seen[now] = true
				if len(gone) > 0 {
					report.Rows = append(report.Rows, gone...)
					report.Shards = append(report.Shards, e.Shard)
				}
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.forget(seen)
	return nil
}

// forget drops shards that hold no more from what is known, after a look that
// has met seen.
func (r *Reaper) forget(seen map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.litter = false
	for shard := range r.came {
		seen[shard] = true
	}
	for shard, refs := range r.index {
		if !seen[shard] {
			r.size -= refs.Bytes()
			delete(r.index, shard)
		}
	}
	maps.DeleteFunc(r.checked, func(shard string, _ bool) bool { return !seen[shard] })
}

// shard looks at one entry, and returns the path of the shard that holds in
// its place and the rows that went.
func (r *Reaper) shard(ctx context.Context, c *dataset.Chain, e dataset.Entry, keys []uint64) (now string, gone []dataset.Row, err error) {
	if e.Shard == "" {
		return "", nil, nil
	}
	refs, err := r.references(ctx, e)
	switch {
	case dataset.IsNotExist(err): // somebody has just rewritten it
	case err != nil:
		return e.Shard, nil, err
	default:
		r.mu.Lock()
		whole := !r.checked[e.Shard]
		r.mu.Unlock()
		if !refs.HasAny(keys) && !(whole && r.taken.Touch(refs)) {
			r.check(e.Shard, nil)
			return e.Shard, nil, nil
		}
	}
	for {
		gone = nil
		kept := &dataset.References{}
		next, err := c.Without(ctx, e, r.set.Alloc, r.set.Now(), r.sort(kept, &gone))
		if errors.Is(err, dataset.ErrLost) {
			if e, err = holder(ctx, c, e); err != nil || e.Shard == "" {
				return e.Shard, nil, err
			}
			continue
		}
		if err != nil && next.Token == "" {
			// It may have been rewritten: then nobody finds these rows again, and
			// their images must go. Of a row that is still there the image stays.
			for i := range gone {
				r.loosen(&gone[i])
			}
			return e.Shard, nil, err
		}
		r.check(next.Shard, kept)
		r.removed(gone)
		return next.Shard, gone, err
	}
}

// holder returns the entry that holds by now in the place of another.
func holder(ctx context.Context, c *dataset.Chain, e dataset.Entry) (dataset.Entry, error) {
	if err := c.Load(ctx); err != nil {
		return e, err
	}
	all := c.Entries()
	at := slices.IndexFunc(all, func(h dataset.Entry) bool { return h.From == e.From })
	if at < 0 {
		return dataset.Entry{}, nil
	}
	return all[at], nil
}

// check notes that a shard was held against the whole set, and what it refers
// to where that is new.
func (r *Reaper) check(shard string, refs *dataset.References) {
	if shard == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked[shard] = true
	if refs != nil {
		r.keep(shard, refs)
	}
}

// references returns those of a shard, from the index or read.
func (r *Reaper) references(ctx context.Context, e dataset.Entry) (*dataset.References, error) {
	r.mu.Lock()
	refs := r.index[e.Shard]
	r.mu.Unlock()
	if refs != nil {
		return refs, nil
	}
	refs, err := r.set.Folder.References(ctx, e, r.set.Alloc)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(e.Shard, refs)
	return refs, nil
}

// reap deletes the images that no row refers to any more. One that was put a
// moment ago waits: its row may be on its way. One that is taken down itself does
// not. Of rows that another collector is still to write this one knows
// nothing: an image that only they refer to goes, and they keep their copy.
func (r *Reaper) reap(ctx context.Context, report *Report) error {
	now := r.set.Now()
	r.mu.Lock()
	var due []string
	for digest, at := range r.loose {
		if !now.Before(at) {
			due = append(due, digest)
		}
	}
	r.mu.Unlock()
	slices.Sort(due)
	for _, digest := range due {
		later, err := r.image(ctx, digest, report)
		if err != nil {
			return err
		}
		r.mu.Lock()
		if later > 0 {
			r.loose[digest] = now.Add(later)
		} else {
			delete(r.loose, digest)
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	report.Waiting = slices.Sorted(maps.Keys(r.loose))
	return nil
}

// image deletes one image unless it is referred to. It says when to look
// again.
func (r *Reaper) image(ctx context.Context, digest string, report *Report) (later time.Duration, err error) {
	if r.set.Images == nil {
		return 0, nil
	}
	forced := r.taken.Has(dataset.TakenImage(digest))
	if !forced {
		referred, err := r.referred(ctx, digest)
		if err != nil || referred {
			return 0, err
		}
	}
	age, err := r.set.Images.Age(ctx, digest)
	switch {
	case errors.Is(err, images.ErrMissing):
		return 0, nil
	case err != nil:
		return 0, &stages.Transient{Err: err}
	case !forced && age < images.Grace:
		return images.Grace - age, nil
	}
	if err := r.set.Images.Delete(ctx, digest); err != nil {
		return 0, &stages.Transient{Err: err}
	}
	report.Images = append(report.Images, digest)
	return 0, nil
}

// referred reports whether a row refers to an image: one of a shard, or one
// that waits in a draft of this process.
func (r *Reaper) referred(ctx context.Context, digest string) (bool, error) {
	what := dataset.TakenImage(digest)
	r.mu.Lock()
	for _, refs := range slices.AppendSeq(slices.Collect(maps.Values(r.index)), maps.Values(r.held)) {
		if refs.Has(what) {
			r.mu.Unlock()
			return true, nil
		}
	}
	var unknown []string
	for shard := range r.checked {
		if r.index[shard] == nil {
			unknown = append(unknown, shard)
		}
	}
	r.mu.Unlock()
	for _, shard := range unknown {
		refs, err := r.set.Folder.References(ctx, dataset.Entry{Shard: shard}, r.set.Alloc)
		if dataset.IsNotExist(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		if refs.Has(what) {
			return true, nil
		}
	}
	return false, nil
}
