package media

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/array"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

var _ stages.Stage = (*Stage)(nil)

// Name is the stage's name in rejects and logs.
const Name = "media"

// Stage shows the images of a batch to the model. It starts nothing that outlives a call of Process, so there is nothing to
// close.
type Stage struct {
	cfg      Config
	settings Settings
	width    int // of the Seer's vectors
	cache    *cache
	places   *semaphore.Weighted // images that have a slot
	slots    sync.Pool           // of scaled pixels
	workers  *semaphore.Weighted // images being digested or decoded
	canvas   *semaphore.Weighted // their pixels
	fetches  *semaphore.Weighted // images of URLs in memory
	paint    func(d pixels.Drawing, dst, data []byte) error
}

// New makes the stage for one bundle.
func New(cfg Config, settings Settings) (*Stage, error) {
	if err := errors.Join(cfg.Validate(), settings.validate()); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	width := settings.Seer.ImageWidth()
	kept, err := newCache(cfg.CacheBytes, width, settings.Metrics)
	if err != nil {
		return nil, err
	}
	return &Stage{
		cfg:      cfg,
		settings: settings,
		width:    width,
		cache:    kept,
		places:   semaphore.NewWeighted(int64(cfg.Workers + settings.Seer.ImagesAtOnce())),
		slots: sync.Pool{New: func() any {
			slot := make([]byte, settings.Transform.Size())
			return &slot
		}},
		workers: semaphore.NewWeighted(int64(cfg.Workers)),
		canvas:  semaphore.NewWeighted(cfg.DecodePixels),
		fetches: semaphore.NewWeighted(int64(cfg.Fetches)),
		paint:   pixels.Drawing.Draw,
	}, nil
}

// Process adds MediaFields to Pairs and drops the encoded images. A post whose pairs all failed is rejected. Pairs of deletes
// and of posts that are rejected already stay null. It fails only with the context's error, one of the Seer, or one of the Fetcher
// that is not a *Failure; the batch is then as it was.
func (s *Stage) Process(ctx context.Context, b *schemas.Batch) error {
	if b.Pairs() == nil {
		return errors.New("media: the batch has no table of pairs: decode comes first")
	}
	w := newWork(s, b)
	defer w.release()
	if err := w.do(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("media: %s %s: %w", b.Partition, b.Offsets, err)
	}
	w.share()
	fields, cols := w.columns()
	b.AddPairs(fields, cols)
	b.DropPairs(schemas.PairImage)
	rejectFailed(b)
	return nil
}

// each calls do for every job, at most limit of them at once (or all: −1), until one fails.
func each[J any](ctx context.Context, limit int, jobs []J, do func(context.Context, J) error) error {
	g, jobCtx := errgroup.WithContext(ctx)
	g.SetLimit(limit)
	for _, j := range jobs {
		if jobCtx.Err() != nil {
			break
		}
		g.Go(func() error { return do(jobCtx, j) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// maxRejectDetail bounds what goes into a dead letter's header, in bytes.
const maxRejectDetail = 1024

// rejectFailed makes dead letters of the posts that have pairs, all of which failed.
func rejectFailed(b *schemas.Batch) {
	pairs := b.Pairs()
	posts := schemas.Col[*array.Int32](pairs, schemas.PairPost)
	index := schemas.Col[*array.Int32](pairs, schemas.PairIndex)
	failure := schemas.Col[*array.String](pairs, schemas.PairFailure)
	detail := schemas.Col[*array.String](pairs, schemas.PairDetail)
	for first := 0; first < posts.Len(); {
		end, failed := first, 0
		for ; end < posts.Len() && posts.Value(end) == posts.Value(first); end++ {
			if failure.IsValid(end) {
				failed++
			}
		}
		if failed == end-first {
			var why []string
			for r := first; r < end; r++ {
				why = append(why, fmt.Sprintf("image %d: %s: %s", index.Value(r), failure.Value(r), detail.Value(r)))
			}
			b.Reject(int(posts.Value(first)), schemas.Reject{
				Stage: Name, Reason: schemas.ReasonMediaFailed, Detail: shorten(strings.Join(why, "; "), maxRejectDetail),
			})
		}
		first = end
	}
}

// shorten makes s valid UTF-8 of at most limit bytes.
func shorten(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
}
