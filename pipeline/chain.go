package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/infer"
)

// errRedo ends a chain that is to be built again from a new claim.
var errRedo = errors.New("the partition is claimed again")

// behindEvery is how often a partition looks whether Redis has gone back in
// time (step 5 of the protocol).
const behindEvery = time.Second

// chain runs one partition for one claim. Batches pass through source (fetch
// and decode), media, infer and finish (fold, decide, emit, commit), each in
// a goroutine of its own, so that the next batch is fetched, decoded and
// labelled while this one is committed. Order is kept all the way.
//
// Two offsets rule it. K (emitted) is what Kafka has committed: below it
// nothing is emitted, for it has been. R (folded) is the cursor in Redis: below it
// nothing is folded. They differ after a crash between fold and commit, and
// after Redis lost its latest writes; batches are cut at both.
type chain struct {
	*runner
	a     *kafka.Assignment
	claim *cluster.Claim
	sink  kafka.Sink
	log   *slog.Logger
	steps map[string]*step

	emitted  int64 // K, as claimed
	folded   int64 // R, as claimed
	metadata string

	position atomic.Int64 // up to where this chain knows Redis to have folded
}

// handle is the kafka.Handler: it claims the partition and runs chains until
// the generation ends.
func (r *runner) handle(ctx context.Context, a *kafka.Assignment) error {
	log := r.log.With("topic", a.Partition.Topic, "partition", a.Partition.ID)
	log.InfoContext(ctx, "partition assigned", "generation", a.Generation)
	defer r.metrics.Lag.Drop(a.Partition)
	for again := 0; ; again++ {
		began := r.now()
		err := r.attempt(ctx, a, log)
		if r.now().Sub(began) > time.Minute {
			again = 0 // it went well for a while
		}
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrGenerationEnded)):
			log.InfoContext(ctx, "partition released")
			return nil
		case errors.Is(err, kafka.ErrGenerationEnded):
			return nil
		case errors.Is(err, errRedo), errors.Is(err, cluster.ErrClaimAgain), errors.Is(err, kafka.ErrAborted):
			log.InfoContext(ctx, "claiming the partition again", "reason", err)
		case errors.Is(err, cluster.ErrFenced), errors.Is(err, kafka.ErrFenced):
			if errors.Is(err, cluster.ErrFenced) {
				log.WarnContext(ctx, "somebody else has claimed the partition in Redis: another group must have a cluster.namespace of its own",
					"namespace", r.cfg.Namespace(), "group", r.cfg.Kafka.Group)
			} else {
				log.WarnContext(ctx, "somebody else emits for the partition, or a transaction lasted longer than kafka.transaction_timeout", "error", err)
			}
			switch err := r.confirm(ctx, a, log); {
			case errors.Is(err, kafka.ErrGenerationEnded):
				return nil
			case err != nil:
				return err
			}
		case stages.IsTransient(err):
			log.WarnContext(ctx, "starting the partition again", "error", err)
		default:
			return fmt.Errorf("%s: %w", a.Partition, err)
		}
		if err := stages.Sleep(ctx, min(time.Duration(again)*50*time.Millisecond, 2*time.Second)); err != nil {
			return nil // the generation has ended meanwhile
		}
	}
}

// confirm asks the group whether the partition is still ours, after Redis or
// Kafka said that somebody else has taken it over.
func (r *runner) confirm(ctx context.Context, a *kafka.Assignment, log *slog.Logger) error {
	err := stages.Usual.Retry(ctx, log, "asking the group whether the partition is still ours", func() error { return a.Alive(ctx) })
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the generation has ended meanwhile
	}
	return err
}

// attempt claims the partition and runs one chain. It returns nil when ctx
// has ended and everything in flight is done.
func (r *runner) attempt(ctx context.Context, a *kafka.Assignment, log *slog.Logger) error {
	c := &chain{runner: r, a: a, log: log}
	defer c.openSteps()()
	err := c.steps[stepClaim].run(ctx, a.Partition, func(ctx context.Context) error {
		return stages.Usual.Retry(ctx, c.steps[stepClaim].log, "claiming the partition", func() error { return c.take(ctx) })
	})
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "partition claimed", "emitted", c.emitted, "folded", c.folded)

	// What is in flight when ctx ends is finished, within the time allowed.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	stop := context.AfterFunc(ctx, func() {
		stages.Reach(ctx, stages.DuringRevoke)
		t := time.AfterFunc(r.cfg.Shutdown.Timeout, func() {
			log.WarnContext(ctx, "giving up what is still in flight; it is read again later", "after", r.cfg.Shutdown.Timeout)
			abandon()
		})
		context.AfterFunc(work, func() { t.Stop() })
	})
	defer stop()

	g, working := errgroup.WithContext(work)
	decoded, seen, labelled := make(chan *flight), make(chan *flight), make(chan *flight, 1)
	watching, done := context.WithCancel(working)
	g.Go(func() error { defer close(decoded); return c.source(ctx, working, decoded) })
	g.Go(func() error { defer close(seen); return c.pass(working, c.mediaLeg(), decoded, seen) })
	g.Go(func() error { defer close(labelled); return c.pass(working, c.inferLeg(), seen, labelled) })
	g.Go(func() error { defer done(); return c.finish(working, labelled) })
	g.Go(func() error { return c.watch(watching) })
	err = g.Wait()
	for _, left := range []chan *flight{decoded, seen, labelled} {
		for f := range left {
			f.release()
		}
	}
	return err
}

// position is what travels in the metadata of the committed offset.
type position struct {
	Base   int64  `json:"base"`   // where this bundle began on the partition
	Digest string `json:"digest"` // of the bundle
}

// take fences the partition's former owner in Kafka, reads where Kafka stands,
// and claims the partition in Redis. In this order: what the former owner
// committed last must be known, and nothing may be added to it, when Redis is asked how far he folded.
func (c *chain) take(ctx context.Context) (err error) {
	if c.sink, err = c.a.Sink(ctx); err != nil {
		return err
	}
	committed, metadata, err := c.a.Committed(ctx)
	if err != nil {
		return err
	}
	at := cluster.Position{Base: -1, Committed: committed}
	var was position
	if json.Unmarshal([]byte(metadata), &was) == nil && was.Digest == c.modelDigest {
		at.Base = was.Base
	}
	if at.LogStart, at.LogEnd, err = c.client.Bounds(ctx, c.a.Partition); err != nil {
		return err
	}
	if committed < 0 {
		if at.Start, err = c.a.Start(ctx); err != nil {
			return err
		}
	}
	c.metrics.Lag.Set(c.a.Partition, max(committed, at.Start))
	if c.claim, err = c.cluster.Claim(ctx, c.a.Partition, at); err != nil {
		return err
	}
	stages.Reach(ctx, stages.AfterClaim)
	c.emitted, c.folded = c.claim.From(), c.claim.Cursor()
	c.position.Store(c.folded)
	text, err := json.Marshal(position{Base: c.claim.Base(), Digest: c.modelDigest})
	if err != nil {
		return fmt.Errorf("encode the position's metadata: %w", err)
	}
	c.metadata = string(text)
	if committed < 0 {
		return c.a.Commit(ctx, c.emitted, c.metadata)
	}
	return nil
}

// cut is where a batch that begins at from must end at the latest; −1 where
// it need not.
func (c *chain) cut(from int64) int64 {
	at := int64(-1)
	for _, limit := range []int64{c.emitted, c.folded} {
		if limit > from {
			at = nearest(at, limit)
		}
	}
	return at
}

// nearest is the lower of two places to cut at; −1 is none.
func nearest(a, b int64) int64 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// source fetches and decodes until ctx or work ends. What waits for room then
// is given up: nothing of it has been done. It must not wait on ctx alone: when
// the chain fails, the room it waits for is held by batches that nobody moves
// any more.
func (c *chain) source(ctx, work context.Context, out chan<- *flight) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(work, stop)()
	fetcher := c.client.NewFetcher(c.a.Partition, c.alloc, kafka.Limits{MaxRows: c.cfg.Batch.MaxRows, MaxBytes: c.cfg.Batch.MaxBytes})
	defer fetcher.Close()
	from := min(c.emitted, c.folded)
	limit := int64(-1) // where the batch must end for its pairs to fit
	for {
		f, err := c.read(ctx, fetcher, from, nearest(c.cut(from), limit))
		var gone *kafka.OffsetRangeError
		switch {
		case ctx.Err() != nil:
			if f != nil {
				f.release()
			}
			return nil
		case errors.As(err, &gone):
			return fmt.Errorf("%w: %w", errRedo, err)
		case err != nil:
			return err
		case f == nil:
			continue
		}
		stages.Reach(ctx, stages.AfterPoll)
		decoding, err := c.timed(work, stageDecode, c.decode, f.batch)
		if err != nil {
			f.release()
			return err
		}
		var over bool
		if limit, over = c.budget.cut(f.batch); over {
			f.release() // and read again, up to there
			continue
		}
		from, limit = f.batch.Offsets.End, -1
		f.settle()
		f.batch.Timings.Decode = decoding.took
		stages.Reach(ctx, stages.AfterDecode)
		f.windows = append(f.windows, decoding)
		f.forget = c.collecting.forgetting(f.batch)
		select {
		case out <- f:
		case <-work.Done():
			f.release()
			return nil
		}
	}
}

// read waits for records at from, and for room for a batch of them; nil when
// nothing has arrived. Only what waits for the broker is watched: a full queue
// is no fault.
func (c *chain) read(ctx context.Context, fetcher *kafka.Fetcher, from, cut int64) (*flight, error) {
	if err := fetcher.Reserve(ctx); err != nil {
		return nil, err
	}
	var size int
	err := c.steps[stepFetch].run(ctx, offset(from), func(ctx context.Context) error {
		return stages.Usual.Retry(ctx, c.steps[stepFetch].log, "fetching", func() (err error) {
			size, err = fetcher.Wait(ctx, from)
			return err
		})
	})
	if err != nil || size == 0 {
		return nil, err
	}
	f, err := c.budget.reserve(ctx, size)
	if err != nil {
		return nil, err
	}
	if f.batch, err = fetcher.Next(ctx, from, cut); err != nil || f.batch == nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// leg is a stage on a batch's way, with what is done about its room before and
// after.
type leg struct {
	name   string
	stage  stages.Stage
	spent  func(*schemas.Timings) *time.Duration
	before func(*flight, context.Context) error
	after  func(*flight, memory.Allocator)
}

func (c *chain) mediaLeg() leg {
	return leg{
		stageMedia, ahead{c.media, c.infer}, func(t *schemas.Timings) *time.Duration { return &t.Media }, (*flight).see, (*flight).seen,
	}
}

// ahead is a stage beside which a batch's texts are read: the text tower needs
// nothing of what media finds.
type ahead struct {
	stages.Stage
	infer *infer.Stage
}

// Process implements stages.Stage.
func (a ahead) Process(ctx context.Context, b *schemas.Batch) error {
	read := a.infer.Ahead(b)
	reads, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var reading sync.WaitGroup
	reading.Go(func() { read(reads) })
	err := a.Stage.Process(ctx, b)
	if err != nil {
		giveUp()
	}
	reading.Wait()
	return err
}

func (c *chain) inferLeg() leg {
	return leg{
		stageInfer, c.infer, func(t *schemas.Timings) *time.Duration { return &t.Infer },
		func(*flight, context.Context) error { return nil }, (*flight).inferred,
	}
}

// pass runs one stage over the batches of in, in order.
func (c *chain) pass(work context.Context, l leg, in <-chan *flight, out chan<- *flight) error {
	for f := range in {
		if err := l.before(f, work); err != nil {
			f.release()
			return err
		}
		w, err := c.timed(work, l.name, l.stage, f.batch)
		if err != nil {
			f.release()
			return err
		}
		l.after(f, c.alloc)
		*l.spent(&f.batch.Timings) = w.took
		f.windows = append(f.windows, w)
		stages.Reach(work, stages.CrashPoint("after-"+l.name))
		select {
		case out <- f:
		case <-work.Done():
			f.release()
			return context.Cause(work)
		}
	}
	return nil
}

func (c *chain) timed(ctx context.Context, name string, s stages.Stage, b *schemas.Batch) (window, error) {
	return c.steps[name].time(ctx, b, func(ctx context.Context) error {
		return c.steps[name].retry(ctx, b, func() error { return s.Process(ctx, b) })
	})
}

// finish folds, decides, emits and commits, batch after batch: one is
// committed before the next is folded.
func (c *chain) finish(work context.Context, in <-chan *flight) error {
	for f := range in {
		err := c.finishOne(work, f)
		f.release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *chain) finishOne(ctx context.Context, f *flight) error {
	b := f.batch
	stages.Reach(ctx, stages.BeforeFold)
	fold := c.claim.Fold
	if b.Offsets.End <= c.claim.Cursor() {
		fold = c.claim.Recall
	}
	folding, err := c.steps[stageCluster].time(ctx, b, func(ctx context.Context) error {
		return c.steps[stageCluster].retry(ctx, b, func() error { return fold(ctx, b) })
	})
	if err != nil {
		return err
	}
	stages.Reach(ctx, stages.AfterFold)
	b.Timings.Cluster = folding.took
	c.position.Store(c.claim.Cursor())
	if b.Offsets.First < c.emitted {
		c.steps[stageCluster].log.InfoContext(ctx, "folded again, for Redis had lost it", "offsets", b.Offsets.String())
		return nil
	}
	deciding, err := c.timed(ctx, stageDecide, c.decide, b)
	if err != nil {
		return err
	}
	images, picking, err := c.pick(ctx, b)
	if err != nil {
		return err
	}
	traces := newJourney(ctx, c.tracer, b)
	emitting, err := c.steps[stageEmit].time(ctx, b, func(ctx context.Context) error { return c.emitOne(ctx, b, images, traces) })
	traces.end(ctx, append(append(f.windows, folding, deciding), append(picking, emitting)...), c.now(), err)
	if err != nil {
		return err
	}
	c.collecting.committed(b, images)
	c.metrics.Lag.Set(c.a.Partition, b.Offsets.End)
	c.metrics.committed(b, c.now())
	c.progress.count(b)
	c.steps[stageEmit].log.DebugContext(ctx, "batch committed", "offsets", b.Offsets.String(),
		"posts", b.Posts().NumRows(), "pairs", b.Pairs().NumRows(), "after", c.now().Sub(b.Fetched))
	return nil
}

// pick chooses what is collected of a batch, if anything ever is.
func (c *chain) pick(ctx context.Context, b *schemas.Batch) (images picked, took []window, err error) {
	if c.collecting == nil {
		return nil, nil, nil
	}
	w, err := c.steps[stageCollect].time(ctx, b, func(ctx context.Context) error {
		images, err = c.collecting.pick(ctx, b)
		return err
	})
	return images, []window{w}, err
}

// emitOne emits and commits what became of a batch.
func (c *chain) emitOne(ctx context.Context, b *schemas.Batch, images picked, traces *journey) error {
	records, err := c.emit.records(b, images, traces)
	if err != nil {
		return err
	}
	stages.Reach(ctx, stages.BeforeProduce)
	err = c.sink.Emit(ctx, records, b.Offsets.End, c.metadata)
	var large *kafka.RecordTooLargeError
	if errors.As(err, &large) && large.Topic == c.cfg.Topics.DeadLetter && large.Limit > 0 {
		c.steps[stageEmit].log.WarnContext(ctx, "cutting a dead letter that its topic does not take", "offsets", b.Offsets.String(), "error", err)
		err = c.sink.Emit(ctx, c.emit.cutDeadLetters(records, large.Limit), b.Offsets.End, c.metadata)
	}
	return err
}

// watch ends the chain when Redis has gone back behind it.
func (c *chain) watch(ctx context.Context) error {
	tick := time.NewTicker(behindEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		position := c.position.Load()
		behind, err := c.claim.Behind(ctx, position)
		switch {
		case ctx.Err() != nil, stages.IsTransient(err):
			// Away: the fold waits for it, and the next tick looks again.
		case err != nil:
			return err
		case behind:
			return fmt.Errorf("%w: Redis no longer holds what was folded up to offset %d", errRedo, position)
		}
	}
}
