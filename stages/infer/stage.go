package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

var _ stages.Stage = (*Stage)(nil)

// ErrClosed is the error of batches that Close caught.
var ErrClosed = errors.New("the stage is closed")

// Stage runs the model on the pairs of many batches together. It must be
// closed.
type Stage struct {
	cfg      Config
	settings Settings

	jobs chan *job
	runs chan *run
	ctx  context.Context // ends with Close
	end  context.CancelFunc
	busy sync.WaitGroup
}

// New makes the stage and starts its goroutines.
func New(cfg Config, settings Settings) (*Stage, error) {
	if err := errors.Join(cfg.Validate(), settings.validate()); err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	s := &Stage{cfg: cfg, settings: settings, jobs: make(chan *job), runs: make(chan *run), ctx: ctx, end: end}
	s.busy.Go(s.join)
	for range cfg.Runs {
		s.busy.Go(s.work)
	}
	return s, nil
}

// Close breaks off what is under way, whose Process calls return ErrClosed,
// and waits until nothing of the stage runs. Closing again does nothing.
func (s *Stage) Close() {
	s.end()
	s.busy.Wait()
}

// Process adds InferFields to Pairs and drops the vectors of images. Pairs that failed
// and pairs of rejected posts stay null. It blocks while all runs are taken:
// nothing is queued beyond the batches whose callers wait. The error is the
// context's, ErrClosed, or that of a run which failed for good; the batch is
// then as it was.
func (s *Stage) Process(ctx context.Context, b *schemas.Batch) error {
	if !schemas.Has(b.Pairs(), schemas.PairVector) {
		return errors.New("infer: the batch has no vectors of images: media comes first")
	}
	j := newJob(ctx, b, s.settings.Encoder.Dim(), s.settings.Alloc)
	if err := s.submit(j); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("infer: %s %s: %w", b.Partition, b.Offsets, err)
	}
	defer j.release()
	b.AddPairs(schemas.InferFields(s.settings.Encoder.Dim()), j.columns())
	b.DropPairs(schemas.PairVector)
	return nil
}

// Ahead looks at the texts of b's pairs and returns what reads them, so that
// Process finds them read once the images have been seen. Other stages may work on b
// meanwhile. Nothing comes of an error: Process will meet it again.
func (s *Stage) Ahead(b *schemas.Batch) (read func(context.Context)) {
	posts := b.Posts()
	posts.Retain()
	text := schemas.Col[*array.String](posts, schemas.PostText)
	var texts []string
	for _, post := range slices.Compact(slices.Clone(schemas.Col[*array.Int32](b.Pairs(), schemas.PairPost).Int32Values())) {
		if _, rejected := b.Rejected(int(post)); !rejected {
			texts = append(texts, textAt(text, int(post)))
		}
	}
	return func(ctx context.Context) {
		defer posts.Release()
		if len(texts) > 0 {
			_ = s.settings.Encoder.Read(ctx, texts)
		}
	}
}

// submit waits until every row of j is done. After an error j is not the
// caller's any more.
func (s *Stage) submit(j *job) error {
	if len(j.rows) == 0 {
		return nil
	}
	select {
	case s.jobs <- j:
	case <-j.ctx.Done():
		j.release()
		return j.ctx.Err()
	case <-s.ctx.Done():
		j.release()
		return ErrClosed
	}
	select {
	case <-j.done:
	case <-j.ctx.Done():
		j.abandon()
		return j.ctx.Err()
	}
	if j.err != nil {
		j.release()
	}
	return j.err
}
