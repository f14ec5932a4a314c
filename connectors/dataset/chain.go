package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gocloud.dev/blob"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// ErrLost says that somebody else has written what was about to be written:
// nothing of ours is in the data set. Load the chain again.
var ErrLost = errors.New("somebody else has written these offsets")

// Chain is the log of one partition. An offset is in the data set exactly when
// an entry of the chain covers it: entries follow one another from the base,
// each beginning where the one before it ends, and of those with one beginning
// the highest revision holds.
//
// What makes that safe with any number of writers, crashed and forgotten ones
// among them: an entry's key is its beginning and revision, the store gives a
// key to one writer only, and no key is ever given back. So whoever appends at an
// end that is none any more, or rewrites a shard that was rewritten, fails.
//
// A chain is for one goroutine; it knows what it has loaded and written.
type Chain struct {
	folder *Folder
	input  schemas.Partition
	base   base
	held   []Entry       // as they follow one another
	revs   map[int64]int // highest revision of each beginning
}

// base is where a chain begins; it is created once.
type base struct {
	From int64 `json:"from"`
	// Cluster is Kafka's id of the cluster whose offsets these are.
	Cluster string `json:"cluster"`
}

// Begin loads the chain of a partition, which begins at from unless it has
// begun before.
func (f *Folder) Begin(ctx context.Context, input schemas.Partition, cluster string, from int64) (*Chain, error) {
	text, err := json.Marshal(base{From: from, Cluster: cluster})
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	key := logPrefix(input) + baseName
	if err := f.store.Create(ctx, key, text); err != nil && !errors.Is(err, bucket.ErrExists) {
		return nil, again(ctx, "beginning the log of "+input.String(), err)
	}
	c, err := f.Chain(ctx, input)
	if err != nil {
		return nil, err
	}
	if c.base.Cluster != cluster {
		return nil, fmt.Errorf("dataset: the shards of %s are of Kafka cluster %s, not of %s: collect into another folder (collect.dataset)",
			input, c.base.Cluster, cluster)
	}
	return c, nil
}

// Chain loads the chain of a partition that has begun.
func (f *Folder) Chain(ctx context.Context, input schemas.Partition) (*Chain, error) {
	key := logPrefix(input) + baseName
	text, err := f.store.ReadAll(ctx, key)
	if err != nil {
		return nil, away(ctx, "reading "+key, err)
	}
	c := &Chain{folder: f, input: input}
	if err := json.Unmarshal(text, &c.base); err != nil {
		return nil, fmt.Errorf("dataset: %s is damaged: %w", key, err)
	}
	return c, c.Load(ctx)
}

// Load reads what was written since.
func (c *Chain) Load(ctx context.Context) error {
	var err error
	for try := range 5 {
		if err = stages.Sleep(ctx, time.Duration(try)*20*time.Millisecond); err != nil {
			return err
		}
		// A listing is no snapshot: it may show an entry and miss the one
		// before it, when both appear meanwhile.
		if err = c.load(ctx); !errors.Is(err, errBroken) {
			return err
		}
	}
	return err
}

var errBroken = errors.New("the log breaks off")

func (c *Chain) load(ctx context.Context) error {
	keys, err := c.folder.list(ctx, logPrefix(c.input))
	if err != nil {
		return err
	}
	revs := make(map[int64]int)
	for _, key := range keys {
		if at, ok := entryAt(key); ok && at.input == c.input {
			revs[at.from] = max(revs[at.from], at.rev)
		}
	}
	held, met, end := make([]Entry, 0, len(revs)), 0, c.base.From
	for {
		rev, ok := revs[end]
		if !ok {
			break
		}
		e, err := c.folder.entry(ctx, c.at(end, rev).key())
		if err != nil {
			return err
		}
		met++
		if e.To == end {
			break // the place is taken, for nothing: see Sweep
		}
		held = append(held, e)
		end = e.To
	}
	if met != len(revs) {
		return fmt.Errorf("dataset: %w at offset %d of %s, and entries follow: %s was deleted or damaged; restore it",
			errBroken, end, c.input, c.at(end, 0).key())
	}
	c.held, c.revs = held, revs
	return nil
}

func (c *Chain) at(from int64, rev int) Entry {
	return Entry{Topic: c.input.Topic, Partition: c.input.ID, From: from, Rev: rev}
}

// End returns the first offset that is not in the data set.
func (c *Chain) End() int64 {
	if len(c.held) == 0 {
		return c.base.From
	}
	return c.held[len(c.held)-1].To
}

// Entries returns the entries that hold.
func (c *Chain) Entries() []Entry { return slices.Clone(c.held) }

// next returns an entry that would take the place after the one that holds
// from. A draft's token stays, so that a second try meets what the first wrote.
func (c *Chain) next(from int64, d *Draft) Entry {
	e := c.at(from, 0)
	e.Schema = entrySchema
	if rev, ok := c.revs[from]; ok {
		e.Rev = rev + 1
	}
	if d != nil {
		e.Token = d.token
	} else {
		e.Token = newToken()
	}
	return e
}

// Append puts the rows of [End, to) into the data set: d, which may be nil
// or without rows, and stays the caller's to discard. about gives Dropped and Gap.
//
// ErrLost: the end is somewhere else. *stages.Transient: unknown; call it again
// with the same draft.
func (c *Chain) Append(ctx context.Context, d *Draft, to int64, about Entry, now time.Time) (Entry, error) {
	from := c.End()
	if to <= from {
		return Entry{}, fmt.Errorf("dataset: %s: offsets %d to %d are no range", c.input, from, to)
	}
	for {
		e := c.next(from, d)
		e.To, e.Dropped, e.Gap = to, about.Dropped, about.Gap
		e, err := c.write(ctx, d, e, now)
		if err == nil {
			c.hold(e)
			return e, nil
		}
		if !errors.Is(err, ErrLost) {
			return Entry{}, err
		}
		if err := c.Load(ctx); err != nil {
			return Entry{}, err
		}
		if c.End() != from {
			return Entry{}, fmt.Errorf("dataset: %s at offset %d: %w", c.input, from, ErrLost)
		}
		// Only the place was taken: somebody swept. Ours is the next one.
	}
}

// Rewrite puts other rows in the place of old's: those that a takedown leaves. The
// old shard is deleted.
//
// ErrLost: old does not hold any more. Load, and look at what does. An entry
// beside another error holds; only old's shard is still there, for Sweep.
func (c *Chain) Rewrite(ctx context.Context, old Entry, d *Draft, now time.Time) (Entry, error) {
	if !c.holds(old) {
		return Entry{}, fmt.Errorf("dataset: rewriting %s: %w", old.key(), ErrLost)
	}
	e := c.next(old.From, d)
	e.To, e.Dropped, e.Gap = old.To, old.Dropped, old.Gap
	e.Removed = old.Removed + old.Rows
	if d != nil {
		e.Removed -= int64(d.Rows())
	}
	e, err := c.write(ctx, d, e, now)
	if err != nil {
		return Entry{}, err
	}
	c.hold(e)
	stages.Reach(ctx, BeforeRemove)
	if err := c.strip(ctx, old.From); err != nil {
		return e, err
	}
	if old.Shard != "" && old.Shard != e.Shard {
		if err := c.folder.remove(ctx, old.Shard); err != nil {
			return e, err
		}
	}
	return e, nil
}

// strip takes the statistics out of the entries of one beginning that hold no
// more: licences and languages are the posts' own words. The keys stay taken.
func (c *Chain) strip(ctx context.Context, from int64) error {
	for rev := range c.revs[from] {
		key := c.at(from, rev).key()
		e, err := c.folder.entry(ctx, key)
		if err != nil {
			return err
		}
		if e.Stats.Rows == 0 {
			continue
		}
		e.Stats = Stats{}
		text, err := e.encode()
		if err != nil {
			return err
		}
		if err := c.folder.store.WriteAll(ctx, key, text, nil); err != nil {
			return again(ctx, "stripping "+key, err)
		}
		c.folder.remember(e)
	}
	return nil
}

func (c *Chain) holds(e Entry) bool {
	return slices.ContainsFunc(c.held, func(h Entry) bool { return h.From == e.From && h.Rev == e.Rev && h.Token == e.Token })
}

// hold notes an entry that holds now.
func (c *Chain) hold(e Entry) {
	if at := slices.IndexFunc(c.held, func(h Entry) bool { return h.From == e.From }); at >= 0 {
		c.held[at] = e
	} else {
		c.held = append(c.held, e)
	}
	c.revs[e.From] = e.Rev
}

// write uploads a draft and creates the entry for it. What was uploaded and
// has no entry is removed again.
func (c *Chain) write(ctx context.Context, d *Draft, e Entry, now time.Time) (Entry, error) {
	e.Written = now.UTC()
	if d != nil && d.Rows() > 0 {
		if err := d.end(); err != nil {
			return Entry{}, err
		}
		d.describe(&e)
		if err := c.upload(ctx, d, e.Shard); err != nil {
			return Entry{}, err
		}
		stages.Reach(ctx, AfterShard)
	}
	met, err := c.create(ctx, e)
	if errors.Is(err, ErrLost) && e.Shard != "" {
		err = errors.Join(err, c.folder.remove(ctx, e.Shard))
	}
	if err != nil {
		return Entry{}, err
	}
	stages.Reach(ctx, AfterEntry)
	if met {
		return c.settled(ctx, e)
	}
	c.folder.remember(e)
	return e, nil
}

// settled returns what holds in the place of an entry of ours that an earlier
// try wrote: a takedown may have rewritten it since, and this try has brought its shard
// back.
func (c *Chain) settled(ctx context.Context, e Entry) (Entry, error) {
	if err := c.Load(ctx); err != nil {
		return Entry{}, err
	}
	at := slices.IndexFunc(c.held, func(h Entry) bool { return h.From == e.From })
	if at < 0 {
		return Entry{}, fmt.Errorf("dataset: %s is gone from the log", e.key())
	}
	if h := c.held[at]; h.Shard == e.Shard || e.Shard == "" {
		return h, nil
	}
	return c.held[at], c.folder.remove(ctx, e.Shard)
}

func (c *Chain) upload(ctx context.Context, d *Draft, key string) error {
	opts := &blob.WriterOptions{ContentType: "application/vnd.apache.parquet"}
	if err := c.folder.store.Upload(ctx, key, d.content(), opts); err != nil {
		return again(ctx, "writing shard "+key, err)
	}
	if err := c.folder.store.Sync(key); err != nil {
		return again(ctx, "writing shard "+key, err)
	}
	return nil
}

// create takes the entry's place. met says that it was ours already: the
// answer to an earlier try was lost.
func (c *Chain) create(ctx context.Context, e Entry) (met bool, err error) {
	text, err := e.encode()
	if err != nil {
		return false, err
	}
	err = c.folder.store.Create(ctx, e.key(), text)
	switch {
	case err == nil:
		return false, nil
	case !errors.Is(err, bucket.ErrExists):
		return false, again(ctx, "writing "+e.key(), err)
	}
	theirs, err := c.folder.entry(ctx, e.key())
	if err != nil {
		return false, err
	}
	if theirs.Token != e.Token {
		return false, fmt.Errorf("dataset: %s: %w", e.key(), ErrLost)
	}
	return true, nil
}

// again is away for what is written: that something is not there passes, too,
// for it is a temporary file that somebody swept.
func again(ctx context.Context, doing string, err error) error {
	if IsNotExist(err) {
		return &stages.Transient{Err: fmt.Errorf("dataset: %s: %w", doing, err)}
	}
	return away(ctx, doing, err)
}

// Crash points of the collector, see stages.WithCrashes.
const (
	// AfterShard: the shard lies under its name and no entry names it. The
	// partition's next owner sweeps it and collects its offsets anew.
	AfterShard stages.CrashPoint = "after-shard"
	// AfterEntry: the rows are in the data set; neither the manifest nor Kafka
	// know. The next owner goes on behind them.
	AfterEntry stages.CrashPoint = "after-entry"
	// AfterFence: an abandoned shard can no more be taken into the log, and
	// still lies there. The next sweep removes it.
	AfterFence stages.CrashPoint = "after-fence"
	// BeforeRemove: a shard is rewritten and its former file lies there. The
	// next sweep removes it.
	BeforeRemove stages.CrashPoint = "before-remove"
)
