package media

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

// digest is the SHA-256 of an encoded image.
type digest = [sha256.Size]byte

// outcome is what became of one pair. Its vector, if any, lies in the work's buffer.
type outcome struct {
	state  state
	digest digest
	known  bool // the digest is: the image's bytes were at hand
	failed verdict
	same   int // row of the same URL, when state is copied
}

type state int

const (
	skipped state = iota // the post is a delete, or rejected
	seen
	refused
	copied
)

// verdict is why an image is refused.
type verdict struct {
	reason schemas.Reason
	detail string
}

// work is one batch's way through the stage. Each row's outcome and slot belong to one goroutine.
type work struct {
	stage    *Stage
	batch    *schemas.Batch
	buffer   *memory.Buffer
	vectors  []float32 // the buffer's: what the image tower makes of each row
	outcomes []outcome

	followers map[int][]int // rows with the URL of the row that is fetched
}

func newWork(s *Stage, b *schemas.Batch) *work {
	w := &work{
		stage:     s,
		batch:     b,
		buffer:    memory.NewResizableBuffer(s.settings.Alloc),
		outcomes:  make([]outcome, b.Pairs().NumRows()),
		followers: make(map[int][]int),
	}
	w.buffer.Resize(arrow.Float32Traits.BytesRequired(len(w.outcomes) * s.width))
	w.vectors = arrow.Float32Traits.CastFromBytes(w.buffer.Bytes())
	return w
}

func (w *work) release() { w.buffer.Release() }

func (w *work) vector(row int) []float32 {
	return w.vectors[row*w.stage.width : (row+1)*w.stage.width]
}

// do finds an outcome for every row. Fetching waits for others, decoding for a core, seeing for the model: each has a limit
// of its own.
func (w *work) do(ctx context.Context) error {
	inline, remote := w.sort()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return each(ctx, -1, inline, func(ctx context.Context, row int) error {
			images := schemas.Col[*array.Binary](w.batch.Pairs(), schemas.PairImage)
			return w.read(ctx, row, Encoded{Data: images.Value(row)})
		})
	})
	g.Go(func() error { return each(ctx, w.stage.cfg.Fetches, remote, w.fetch) })
	return g.Wait()
}

// sort returns the rows whose bytes are at hand and those to be fetched, each URL once.
func (w *work) sort() (inline, remote []int) {
	pairs := w.batch.Pairs()
	posts := schemas.Col[*array.Int32](pairs, schemas.PairPost)
	images := schemas.Col[*array.Binary](pairs, schemas.PairImage)
	urls := schemas.Col[*array.String](pairs, schemas.PairURL)
	ops := schemas.Col[*array.String](w.batch.Posts(), schemas.PostOp)
	byURL := make(map[string]int)
	for row := range w.outcomes {
		post := int(posts.Value(row))
		if _, rejected := w.batch.Rejected(post); rejected || ops.Value(post) == string(schemas.OpDelete) {
			continue
		}
		switch {
		case images.IsValid(row):
			inline = append(inline, row)
		case urls.IsNull(row) || urls.Value(row) == "":
			w.refuse(row, verdict{schemas.ReasonNoSource, "neither bytes nor a URL"})
		default:
			if leader, ok := byURL[urls.Value(row)]; ok {
				w.outcomes[row] = outcome{state: copied, same: leader}
				w.followers[leader] = append(w.followers[leader], row)
				continue
			}
			byURL[urls.Value(row)] = row
			remote = append(remote, row)
		}
	}
	return inline, remote
}

// fetch holds its place until the image is seen, so that images do not pile up in front of busy workers.
func (w *work) fetch(ctx context.Context, row int) error {
	if err := w.stage.fetches.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.stage.fetches.Release(1)
	urls := schemas.Col[*array.String](w.batch.Pairs(), schemas.PairURL)
	im, err := w.stage.settings.Fetcher.Fetch(ctx, urls.Value(row))
	if err == nil {
		return w.read(ctx, row, im)
	}
	var failure *Failure
	if !errors.As(err, &failure) {
		return fmt.Errorf("fetching an image: %w", err)
	}
	w.refuse(row, verdict{failure.Reason, failure.Err.Error()})
	return nil
}

// read finds out what an encoded image looks like.
func (w *work) read(ctx context.Context, row int, im Encoded) error {
	s := w.stage
	if err := s.workers.Acquire(ctx, 1); err != nil {
		return err
	}
	sum := sha256.Sum256(im.Data)
	s.workers.Release(1)
	w.hold(row, sum, im)
	got, err := s.cache.get(ctx, sum, func() (sight, error) { return s.see(ctx, im.Data, sum) })
	if err != nil {
		return err
	}
	w.outcomes[row] = outcome{state: seen, digest: sum, known: true}
	if got.vector == nil {
		w.refuse(row, got.failed)
		return nil
	}
	copy(w.vector(row), got.vector)
	return nil
}

// hold offers an image to the holder for every row that it is of.
func (w *work) hold(row int, sum digest, im Encoded) {
	holder := w.stage.settings.Holder
	if holder == nil {
		return
	}
	holder.Hold(w.batch, row, sum, im)
	for _, same := range w.followers[row] {
		holder.Hold(w.batch, same, sum, im)
	}
}

// see decodes an image and shows it to the model.
func (s *Stage) see(ctx context.Context, data []byte, sum digest) (sight, error) {
	if err := s.places.Acquire(ctx, 1); err != nil {
		return sight{}, err
	}
	defer s.places.Release(1)
	slot := s.slots.Get().(*[]byte)
	defer s.slots.Put(slot)
	failed, err := s.draw(ctx, *slot, data, sum)
	if err != nil || failed != (verdict{}) {
		return sight{failed: failed.short()}, err
	}
	vector := make([]float32, s.width)
	if err := s.settings.Seer.See(ctx, *slot, vector); err != nil {
		return sight{}, err
	}
	return sight{vector: vector}, nil
}

// draw decodes data and scales it into slot.
func (s *Stage) draw(ctx context.Context, slot, data []byte, sum digest) (verdict, error) {
	if err := s.workers.Acquire(ctx, 1); err != nil {
		return verdict{}, err
	}
	defer s.workers.Release(1)
	held, waited := int64(0), error(nil)
	defer func() { s.canvas.Release(held) }()
	err := s.drawSafely(slot, data, sum, func(size int64) error {
		// Who waited for more with some in hand could wait for ever.
		s.canvas.Release(held)
		held = 0
		size = min(size, s.cfg.DecodePixels) // what takes more than everything goes alone
		if waited = s.canvas.Acquire(ctx, size); waited == nil {
			held = size
		}
		return waited
	})
	switch {
	case waited != nil:
		return verdict{}, waited
	case err != nil:
		return failureOf(err), nil
	}
	return verdict{}, nil
}

// errPanicked is for an image that our decoders cannot cope with.
var errPanicked = errors.New("the decoder panicked on it")

// drawSafely is the last defence against foreign bytes: decoding must not panic, but if it does, it is one image's end and
// not the partition's.
func (s *Stage) drawSafely(slot, data []byte, sum digest, room func(pixels int64) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.settings.Log.Error("decoding an image panicked; please report this with the image",
				"stage", Name, "digest", fmt.Sprintf("%x", sum), "panic", p, "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return s.paint(pixels.Drawing{
		Limits: s.limits(), Orient: s.settings.Orient, Transform: s.settings.Transform, Draft: s.cfg.Draft, Room: room,
	}, slot, data)
}

func (s *Stage) limits() pixels.Limits {
	return pixels.Limits{MaxBytes: s.cfg.MaxBytes, MaxPixels: s.cfg.MaxPixels, MaxSide: s.cfg.MaxSide}
}

func failureOf(err error) verdict {
	switch {
	case errors.Is(err, pixels.ErrFormat):
		return verdict{schemas.ReasonNotImage, err.Error()}
	case errors.Is(err, pixels.ErrTooLarge):
		return verdict{schemas.ReasonImageSize, err.Error()}
	}
	return verdict{schemas.ReasonCorrupt, err.Error()}
}

// maxDetail bounds a pair's failure detail, in bytes: parts of it come from outside.
const maxDetail = 300

func (w *work) refuse(row int, v verdict) {
	w.outcomes[row].state = refused
	w.outcomes[row].failed = v.short()
}

// short is v with a detail that a pair may have.
func (v verdict) short() verdict { return verdict{v.reason, shorten(v.detail, maxDetail)} }

// share gives rows of one URL the outcome of the one that was fetched.
func (w *work) share() {
	for row, o := range w.outcomes {
		if o.state != copied {
			continue
		}
		w.outcomes[row] = w.outcomes[o.same]
		if w.outcomes[row].state == seen {
			copy(w.vector(row), w.vector(o.same))
		}
	}
}

// columns returns MediaFields, filled.
func (w *work) columns() ([]arrow.Field, []arrow.Array) {
	alloc := w.stage.settings.Alloc
	fields := schemas.MediaFields(w.stage.width)

	digests := array.NewFixedSizeBinaryBuilder(alloc, &arrow.FixedSizeBinaryType{ByteWidth: len(digest{})})
	defer digests.Release()
	reasons, details := array.NewStringBuilder(alloc), array.NewStringBuilder(alloc)
	defer reasons.Release()
	defer details.Release()
	for _, o := range w.outcomes {
		if o.known {
			digests.Append(o.digest[:])
		} else {
			digests.AppendNull()
		}
		if o.state == refused {
			reasons.Append(string(o.failed.reason))
			details.Append(o.failed.detail)
		} else {
			reasons.AppendNull()
			details.AppendNull()
		}
	}
	return fields, []arrow.Array{w.vectorColumn(fields[0].Type), digests.NewArray(), reasons.NewArray(), details.NewArray()}
}

// vectorColumn wraps the buffer that the vectors were written to.
func (w *work) vectorColumn(dtype arrow.DataType) arrow.Array {
	n := len(w.outcomes)
	valid := memory.NewResizableBuffer(w.stage.settings.Alloc)
	defer valid.Release()
	valid.Resize(int(bitutil.BytesForBits(int64(n))))
	memory.Set(valid.Bytes(), 0)
	nulls := 0
	for row, o := range w.outcomes {
		if o.state == seen {
			bitutil.SetBit(valid.Bytes(), row)
			continue
		}
		nulls++
		clear(w.vector(row))
	}
	values := array.NewData(arrow.PrimitiveTypes.Float32, len(w.vectors), []*memory.Buffer{nil, w.buffer}, nil, 0, 0)
	defer values.Release()
	data := array.NewData(dtype, n, []*memory.Buffer{valid}, []arrow.ArrayData{values}, nulls, 0)
	defer data.Release()
	return array.NewFixedSizeListData(data)
}
