package takedown

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Settings is what the wiring fills in.
type Settings struct {
	Folder *dataset.Folder
	// Images is where the encoded images lie; nil: they are left alone.
	Images *images.Store
	Alloc  memory.Allocator
	Now    func() time.Time
	Log    *slog.Logger
	// Removed hears of rows that were taken out of a shard, written or not,
	// without their images; Changed, that shards were rewritten. Both may be nil.
	Removed func(rows []dataset.Row)
	Changed func(ctx context.Context) error
	// Patience is how long what others have taken down is left to them.
	Patience time.Duration
}

// Patience is that of collectors, for Settings: about what another one needs.
const Patience = 15 * time.Second

const (
	// every is how often a Reaper looks whether there is something to do. A
	// takedown has 60 seconds, of which an image may have to wait images.Grace.
	every = 5 * time.Second
	// indexBytes bounds what is known of shards without reading them. It is
	// enough for 10 million rows; shards beyond it are read at each sweep.
	indexBytes = 256 << 20
	// sweepTogether is how many partitions' shards are rewritten at a time.
	sweepTogether = 4
)

// Reaper holds one process's work on the data set against the takedowns. It is
// safe for concurrent use.
type Reaper struct {
	set   Settings
	taken *dataset.Takedowns

	sweeping sync.Mutex

	mu    sync.Mutex
	held  map[schemas.Partition]*dataset.References // of rows in drafts
	index map[string]*dataset.References            // of shards, by path
	size  int                                       // of index, in bytes
	// checked are shards that were held against the whole set.
	checked map[string]bool
	// loose are images that may have lost their last row, and when to look.
	loose map[string]time.Time
	// others is what others have added, and since when it is known.
	others []heard
	own    []uint64
	again  bool // a sweep has failed, or none was made yet
	// litter says that files may lie about that a rewrite was to remove: one of
	// ours that failed, or of a process that died.
	litter bool
	// came are shards that were written since the look through the log began,
	// which may not have met them.
	came map[string]bool
}

type heard struct {
	fresh []uint64
	at    time.Time
}

// Open reads the takedowns of a data set.
func Open(ctx context.Context, s Settings) (*Reaper, error) {
	taken, err := dataset.OpenTakedowns(ctx, s.Folder, s.Now)
	if err != nil {
		return nil, err
	}
	return &Reaper{
		set: s, taken: taken, again: true, litter: true,
		held: make(map[schemas.Partition]*dataset.References), index: make(map[string]*dataset.References),
		checked: make(map[string]bool), loose: make(map[string]time.Time), came: make(map[string]bool),
	}, nil
}

// Take adds a takedown. From here on its rows are refused; Strip makes it
// last, and a sweep takes out what is there.
func (r *Reaper) Take(t *schemas.Takedown) {
	what := dataset.TakenPost(t.PostID)
	if t.AuthorID != "" {
		what = dataset.TakenAuthor(t.AuthorID)
	}
	if t.Media {
		r.taken.Add(what.WithMedia())
	}
	r.taken.Add(what)
}

// Refuses reports whether a row must not be in the data set. Its image goes
// with it.
func (r *Reaper) Refuses(row *dataset.Row) bool {
	if !r.taken.Covers(row) {
		return false
	}
	r.loosen(row)
	return true
}

// loosen notes that a row has let go of its image.
func (r *Reaper) loosen(row *dataset.Row) {
	c := &row.Collected
	if r.taken.Has(dataset.TakenPost(c.PostID).WithMedia()) || c.AuthorID != "" && r.taken.Has(dataset.TakenAuthor(c.AuthorID).WithMedia()) {
		r.taken.Add(dataset.TakenImage(c.Image.Digest))
	}
	r.Loose(c.Image.Digest)
}

// Loose says that a row did not come to be, so that its image may have none.
func (r *Reaper) Loose(digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.loose[digest]; !known {
		r.loose[digest] = r.set.Now()
	}
}

// Hold says that a row was added to the draft of a partition.
func (r *Reaper) Hold(p schemas.Partition, row *dataset.Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[p] == nil {
		r.held[p] = &dataset.References{}
	}
	r.held[p].Add(row)
}

// Dropped says that the draft of a partition was given up.
func (r *Reaper) Dropped(p schemas.Partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, p)
}

// Strip makes the takedowns last and takes what they say out of a draft that
// is about to be appended. It returns the draft to append, and discards d where that
// is another; after an error d is still the caller's. d may be nil, for a range
// without rows.
func (r *Reaper) Strip(ctx context.Context, p schemas.Partition, d *dataset.Draft) (*dataset.Draft, error) {
	if err := r.taken.Save(ctx); err != nil {
		return d, err
	}
	if err := r.taken.Refresh(ctx); err != nil {
		return d, err
	}
	r.mu.Lock()
	touched := r.held[p] != nil && r.taken.Touch(r.held[p])
	r.mu.Unlock()
	if d == nil || !touched {
		return d, nil
	}
	kept, gone := &dataset.References{}, []dataset.Row(nil)
	next, err := d.Without(ctx, r.set.Alloc, r.sort(kept, &gone))
	if err != nil {
		return d, err
	}
	r.mu.Lock()
	r.held[p] = kept
	r.mu.Unlock()
	r.removed(gone)
	return next, nil
}

// sort returns what tells whether a row has to go, and notes which do and what
// the others refer to.
func (r *Reaper) sort(kept *dataset.References, gone *[]dataset.Row) func(*dataset.Row) bool {
	return func(row *dataset.Row) bool {
		if !r.taken.Covers(row) {
			kept.Add(row)
			return false
		}
		without := *row
		without.Image = nil // there may be many
		*gone = append(*gone, without)
		return true
	}
}

func (r *Reaper) removed(gone []dataset.Row) {
	for i := range gone {
		r.loosen(&gone[i])
	}
	if len(gone) > 0 && r.set.Removed != nil {
		r.set.Removed(gone)
	}
}

// Settled says that the draft of a partition is in the log, as e. The next
// sweep holds it against the takedowns once more: somebody may have added to
// them, and looked through the log, between Strip and now.
func (r *Reaper) Settled(p schemas.Partition, e dataset.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if refs := r.held[p]; refs != nil && e.Shard != "" {
		r.keep(e.Shard, refs)
		r.came[e.Shard] = true
		r.again = true
	}
	delete(r.held, p)
}

// keep adds to the index what it has room for. The caller holds mu.
func (r *Reaper) keep(shard string, refs *dataset.References) {
	refs.Shrink()
	if old := r.index[shard]; old != nil {
		r.size -= old.Bytes()
		delete(r.index, shard)
	}
	if r.size+refs.Bytes() <= indexBytes {
		r.index[shard] = refs
		r.size += refs.Bytes()
	}
}

// Run sweeps until ctx ends, now and then and at once when it starts. What is
// away is tried again; any other error ends it.
func (r *Reaper) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		_, err := r.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case stages.IsTransient(err):
			r.set.Log.WarnContext(ctx, "takedowns wait until the data set can be reached again", "error", err)
		case err != nil:
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
