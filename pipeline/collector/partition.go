package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/pipeline/collector/duplicates"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

const (
	// One response holds thousands of records: they have no images.
	fetchRows  = 512
	fetchBytes = 8 << 20
	// sweepEvery is how often an owner looks for what others left over.
	sweepEvery = time.Hour
)

// partition is one partition for as long as one claim lasts. Everything below
// the chain's end is in the data set, what is between there and next is in the
// draft or dropped, and only in this process.
type partition struct {
	*collector
	a     *kafka.Assignment
	input schemas.Partition
	log   *slog.Logger

	chain *dataset.Chain
	next  int64 // first offset that was not looked at
	until int64 // with Settings.UntilIdle: where to end

	draft   *dataset.Draft // nil before the first row
	rows    []dataset.Row  // of draft, what seen needs to forget them
	dropped map[string]int64
	gap     *dataset.Gap
	began   time.Time // when the first offset beyond the chain's end was looked at
	swept   time.Time
}

// handle is the kafka.Handler: it claims the partition and collects until the
// generation ends.
func (c *collector) handle(ctx context.Context, a *kafka.Assignment) error {
	log := c.log.With("topic", a.Partition.Topic, "partition", a.Partition.ID)
	activity := c.health.Watch(a.Partition.String() + ": collect")
	defer activity.Close()
	defer c.metrics.behind().Drop(a.Partition)
	ctx = stages.WithWaiting(ctx, activity.Wait)
	for again := 0; ; again++ {
		p := &partition{collector: c, a: a, input: a.Partition, log: log}
		began := c.now()
		err := p.attempt(ctx, activity)
		p.abandon()
		if c.now().Sub(began) > time.Minute {
			again = 0 // it went well for a while
		}
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrGenerationEnded) || stages.IsTransient(err)):
			log.InfoContext(ctx, "partition released", "collected", p.end())
			return nil
		case errors.Is(err, kafka.ErrGenerationEnded):
			return nil
		case errors.Is(err, dataset.ErrLost):
			log.WarnContext(ctx, "somebody else collects the partition: going on where the data set ends", "error", err)
			err := stages.Usual.Retry(ctx, log, "asking the group whether the partition is still ours", func() error { return a.Alive(ctx) })
			if ctx.Err() != nil || errors.Is(err, kafka.ErrGenerationEnded) {
				return nil
			}
			if err != nil {
				return err
			}
		case errors.Is(err, errAgain):
			log.InfoContext(ctx, "claiming the partition again", "reason", err)
		case stages.IsTransient(err):
			log.WarnContext(ctx, "starting the partition again", "error", err)
		default:
			return fmt.Errorf("%s: %w", a.Partition, err)
		}
		if err := stages.Sleep(ctx, min(time.Duration(again)*50*time.Millisecond, 2*time.Second)); err != nil {
			return nil
		}
	}
}

// errAgain ends a claim that is to be made anew.
var errAgain = errors.New("the log's start has moved")

func (p *partition) end() int64 {
	if p.chain == nil {
		return -1
	}
	return p.chain.End()
}

// attempt claims the partition and collects until ctx ends; then the open
// shard is ended within the time allowed.
func (p *partition) attempt(ctx context.Context, activity *ops.Activity) error {
	if err := stages.Usual.Retry(ctx, p.log, "claiming the partition", func() error { return p.claim(ctx) }); err != nil {
		return err
	}
	p.log.InfoContext(ctx, "partition claimed", "from", p.next)
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(p.cfg.Shutdown.Timeout, func() {
			p.log.WarnContext(ctx, "giving up the open shard; its records are read again later", "after", p.cfg.Shutdown.Timeout)
			abandon()
		})
		context.AfterFunc(work, func() { t.Stop() })
	})()
	return p.collect(ctx, work, activity)
}

// claim loads the chain, sweeps what a former owner has left over, and finds
// where to go on: at the chain's end. What Kafka knows as committed counts for nothing.
func (p *partition) claim(ctx context.Context) (err error) {
	start, end, err := p.client.Bounds(ctx, p.input)
	if err != nil {
		return err
	}
	if p.chain, err = p.folder.Begin(ctx, p.input, p.cluster, start); err != nil {
		return err
	}
	if err := p.sweep(ctx); err != nil {
		return err
	}
	// What others wrote since counts for duplicates, and what we wrote may have
	// come to be although we do not know.
	if err := p.seen.refresh(ctx); err != nil {
		return err
	}
	p.next, p.until = p.chain.End(), end
	switch {
	case p.next > end:
		return fmt.Errorf("the data set holds its offsets up to %d, and the topic ends at %d: it was made anew; collect into another folder (collect.dataset)", p.next, end)
	case p.next < start:
		p.log.ErrorContext(ctx, "records were deleted before they were collected: raise the topic's retention, or run more collectors", "from", p.next, "to", start)
		p.gap = &dataset.Gap{From: p.next, To: start}
		p.next, p.began = start, p.now()
	}
	p.metrics.behind().Set(p.input, p.next)
	return nil
}

func (p *partition) sweep(ctx context.Context) error {
	p.swept = p.now()
	removed, err := p.chain.Sweep(ctx, p.now())
	if len(removed) > 0 {
		p.log.InfoContext(ctx, "files of writers that died were removed", "files", removed)
	}
	return err
}

func (p *partition) collect(ctx, work context.Context, activity *ops.Activity) error {
	fetcher := p.client.NewFetcher(p.input, p.alloc, kafka.Limits{MaxRows: fetchRows, MaxBytes: fetchBytes})
	defer fetcher.Close()
	for {
		idle := p.untilIdle && p.next >= p.until
		if p.due() || (ctx.Err() != nil || idle) && p.next > p.chain.End() {
			if err := p.publish(work, p.next); err != nil {
				return err
			}
		}
		if idle {
			p.idle.finished(p.input)
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			return nil
		}
		if p.now().Sub(p.swept) > sweepEvery {
			if err := stages.Usual.Retry(ctx, p.log, "sweeping", func() error { return p.sweep(ctx) }); err != nil {
				return err
			}
		}
		var b *schemas.Batch
		err := stages.Usual.Retry(ctx, p.log, "fetching", func() (err error) {
			b, err = fetcher.Next(ctx, p.next, -1)
			return err
		})
		var gone *kafka.OffsetRangeError
		switch {
		case errors.As(err, &gone):
			return fmt.Errorf("%w: %w", errAgain, err)
		case err != nil && ctx.Err() == nil:
			return err
		case err != nil, b == nil:
			continue
		}
		activity.Begin(b.Offsets)
		err = p.batch(ctx, work, b)
		activity.End()
		b.Release()
		if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Cause(ctx))) {
			return err
		}
	}
}

// batch looks at a batch's records. When ctx ends it may stop in the middle:
// next says where.
func (p *partition) batch(ctx, work context.Context, b *schemas.Batch) error {
	if p.began.IsZero() {
		p.began = p.now()
	}
	offsets := schemas.Col[*array.Int64](b.Posts(), schemas.RecordOffset)
	values := schemas.Col[*array.Binary](b.Posts(), schemas.RecordValue)
	for i := range int(b.Posts().NumRows()) {
		if err := p.take(ctx, work, offsets.Value(i), schemas.BytesAt(values, i)); err != nil {
			return err
		}
		p.next = offsets.Value(i) + 1
		if p.draft != nil && (p.draft.Rows() >= p.cfg.Collect.ShardRows || p.draft.Bytes() >= p.cfg.Collect.ShardBytes) {
			if err := p.publish(work, p.next); err != nil {
				return err
			}
		}
	}
	p.next = b.Offsets.End
	return nil
}

func (p *partition) drop(reason string) {
	if p.dropped == nil {
		p.dropped = make(map[string]int64)
	}
	p.dropped[reason]++
}

// take looks at one record: a row of the open shard, a takedown, or nothing.
func (p *partition) take(ctx, work context.Context, offset int64, value []byte) error {
	pair, takedown, err := schemas.ReadCollection(value)
	if err == nil && pair != nil && (pair.CollectedAt.IsZero() || pair.Pair > math.MaxInt32) {
		err = errors.New("collected_at is missing, or pair is too large")
	}
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "a record of the collected topic is malformed", "offset", offset, "error", err)
		p.drop(Malformed)
		return nil
	case takedown != nil:
		p.metrics.takedown()
		p.reaper.Take(takedown)
		return nil
	}
	row := &dataset.Row{Collected: *pair}
	reason, err := p.admit(ctx, row, offset)
	if err != nil {
		return err
	}
	if reason != "" {
		p.drop(reason)
		return nil
	}
	if p.draft != nil && dataset.Day(row).After(p.draft.Day()) {
		if err := p.publish(work, offset); err != nil {
			p.seen.forget([]dataset.Row{*row})
			return err
		}
		p.began = p.now()
	}
	return p.add(row)
}

// admit completes a row by its image and signature, or says why it is none.
func (p *partition) admit(ctx context.Context, row *dataset.Row, offset int64) (reason string, err error) {
	c := &row.Collected
	switch {
	case p.reaper.Refuses(row):
		return TakenDown, nil
	case len(c.OptOuts) > 0:
		p.reaper.Loose(c.Image.Digest)
		return OptedOut, nil
	case c.Sensitive != nil && *c.Sensitive && !p.cfg.Collect.IncludeSensitive:
		p.reaper.Loose(c.Image.Digest)
		return Sensitive, nil
	}
	err = stages.Usual.Retry(ctx, p.log, "reading an image", func() (err error) {
		row.Image, err = p.images.Get(ctx, c.Image.Digest, p.cfg.Media.MaxBytes)
		if err != nil && !errors.Is(err, images.ErrMissing) && !errors.Is(err, images.ErrCorrupt) {
			return &stages.Transient{Err: err}
		}
		return err
	})
	switch {
	case errors.Is(err, images.ErrMissing):
		p.log.WarnContext(ctx, "a pair's image is not in the store", "offset", offset, "error", err)
		return ImageMissing, nil
	case errors.Is(err, images.ErrCorrupt):
		p.log.WarnContext(ctx, "a pair's image is not what was put", "offset", offset, "error", err)
		p.reaper.Loose(c.Image.Digest)
		return ImageCorrupt, nil
	case err != nil:
		return "", err
	}
	signature, err := duplicates.Sign(row.Image, c.Text, pixels.Limits{
		MaxBytes: p.cfg.Media.MaxBytes, MaxPixels: p.cfg.Media.MaxPixels, MaxSide: p.cfg.Media.MaxSide,
	})
	if err != nil {
		p.log.WarnContext(ctx, "a pair's image cannot be decoded", "offset", offset, "error", err)
		p.reaper.Loose(c.Image.Digest)
		return ImageCorrupt, nil
	}
	row.ImageHash, row.TextHash = new(int64(signature.Image)), []byte(signature.Text) //nolint:gosec // the bits are what counts
	if !p.seen.index.Admit(id(c), signature) {
		p.reaper.Loose(c.Image.Digest)
		return Duplicate, nil
	}
	return "", nil
}

// add puts a row into the open shard.
func (p *partition) add(row *dataset.Row) (err error) {
	if p.draft == nil {
		if p.draft, err = dataset.NewDraft(p.alloc); err != nil {
			return err
		}
	}
	p.rows = append(p.rows, dataset.Row{
		Collected: schemas.Collected{ResultID: row.Collected.ResultID, Pair: row.Collected.Pair},
		ImageHash: row.ImageHash, TextHash: row.TextHash,
	})
	p.reaper.Hold(p.input, row)
	return p.draft.Add(row)
}

// due reports whether the open range is old enough to be ended.
func (p *partition) due() bool {
	return p.next > p.chain.End() && !p.began.IsZero() && p.now().Sub(p.began) >= p.cfg.Collect.ShardEvery
}

// publish puts everything below to into the data set: the open shard, or an
// entry without one. ErrLost says that somebody else has.
func (p *partition) publish(ctx context.Context, to int64) error {
	before := 0
	if p.draft != nil {
		before = p.draft.Rows()
	}
	err := stages.Usual.Retry(ctx, p.log, "making takedowns last", func() (err error) {
		p.draft, err = p.reaper.Strip(ctx, p.input, p.draft)
		return err
	})
	if err != nil {
		return err
	}
	if p.draft != nil {
		for ; before > p.draft.Rows(); before-- {
			p.drop(TakenDown)
		}
	}
	stages.Reach(ctx, BeforeShard)
	var e dataset.Entry
	err = stages.Usual.Retry(ctx, p.log, "writing a shard", func() (err error) {
		e, err = p.chain.Append(ctx, p.draft, to, dataset.Entry{Dropped: p.dropped, Gap: p.gap}, p.now())
		return err
	})
	if err != nil {
		return err
	}
	p.seen.own(e)
	p.reaper.Settled(p.input, e)
	p.metrics.published(e.Rows, e.Shard != "", e.Dropped)
	p.metrics.behind().Set(p.input, e.To)
	p.progress.add(e)
	p.publisher.changed()
	if p.draft != nil {
		if err := p.draft.Discard(); err != nil {
			return err
		}
	}
	p.draft, p.rows, p.dropped, p.gap, p.began = nil, nil, nil, nil, time.Time{}
	// Nobody depends on it but those who look at the group's lag.
	if err := p.a.Commit(ctx, e.To, ""); err != nil {
		p.log.DebugContext(ctx, "the group's position was not moved", "error", err)
	}
	stages.Reach(ctx, AfterCommit)
	return nil
}

// abandon forgets what did not get into the data set.
func (p *partition) abandon() {
	p.seen.forget(p.rows)
	p.reaper.Dropped(p.input)
	if p.draft != nil {
		if err := p.draft.Discard(); err != nil {
			p.log.Warn("a shard that is given up", "error", err)
		}
	}
}

// Crash points beside those of package dataset.
const (
	// BeforeShard: the shard is complete, in a file without a name. Its records
	// are read again.
	BeforeShard stages.CrashPoint = "before-shard"
	// AfterCommit: everything is done but the manifest. Whoever starts next
	// writes it.
	AfterCommit stages.CrashPoint = "after-commit"
)

// CrashPoints lists those that a collector passes on its way.
func CrashPoints() []stages.CrashPoint {
	return []stages.CrashPoint{BeforeShard, dataset.AfterShard, dataset.AfterEntry, AfterCommit}
}
