package pipeline

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"golang.org/x/sync/semaphore"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

// budget bounds what lies between the brokers and the commit, over all
// partitions: batches by count, and by bytes what they and the answers that
// they come from hold. The bytes have three shares, in the order in which a post
// passes them:
//
//   - a quarter for brokers' answers, until they are read to the end;
//   - a half for records, their decoded columns and encoded images. A batch
//     takes what it may need before it is read, and gives back what it does not
//     need as soon as that is known;
//   - a quarter for what media and infer add to each pair.
//
// Who holds of one share waits for a later one only, and the last one is held by
// what waits for nobody, so there is no deadlock. What is larger than a share goes alone.
type budget struct {
	batches  *semaphore.Weighted
	answers  *kafka.Room
	records  *share
	pairs    *share
	rowBytes int64 // vector of the image and embedding of a pair
	vector   int64 // of which this is the vector
	metrics  *Metrics
}

// share is one of the budget's.
type share struct {
	size    int64
	sem     *semaphore.Weighted
	metrics *Metrics
}

func newBudget(q config.Queue, m *Metrics) *budget {
	part := func(size int64) *share { return &share{size: size, sem: semaphore.NewWeighted(size), metrics: m} }
	return &budget{
		batches: semaphore.NewWeighted(int64(q.MaxBatches)),
		answers: kafka.NewRoom(q.MaxBytes/4, func(n int64) { m.queued(0, n) }),
		records: part(q.MaxBytes / 2),
		pairs:   part(q.MaxBytes / 4),
		metrics: m,
	}
}

// expect says how many bytes media and infer add to a pair.
func (b *budget) expect(vector, embedding int) {
	b.vector, b.rowBytes = int64(vector), int64(vector+embedding)
}

// take waits for n bytes and returns how many it has got: at most all there are.
func (s *share) take(ctx context.Context, n int64) (int64, error) {
	if n = min(n, s.size); n == 0 {
		return 0, nil // and no place behind those who wait
	}
	if err := s.sem.Acquire(ctx, n); err != nil {
		return 0, err
	}
	s.metrics.queued(0, n)
	return n, nil
}

// keep gives back what of held is more than n, and returns what is left.
func (s *share) keep(held, n int64) int64 {
	if n >= held {
		return held
	}
	s.metrics.queued(0, n-held)
	s.sem.Release(held - n)
	return n
}

// flight is a batch with what it has of the budget.
type flight struct {
	*budget
	batch          *schemas.Batch // nil until it is read
	records, pairs int64          // bytes
	forget         func()         // drops what is held for the batch elsewhere
	windows        []window       // of the stages it has passed
}

// rowsOverhead is what a batch's offsets, times and validity take at most
// unless it is so large that they do not count.
const rowsOverhead = 64 << 10

// reserve waits for room for a batch of n bytes of keys, values and headers.
// Decoding at most doubles them: no field is longer than what it was read from.
func (b *budget) reserve(ctx context.Context, n int) (*flight, error) {
	if err := b.batches.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("waiting for a place in the queue: %w", err)
	}
	records, err := b.records.take(ctx, 2*int64(n)+rowsOverhead)
	if err != nil {
		b.batches.Release(1)
		return nil, fmt.Errorf("waiting for bytes in the queue: %w", err)
	}
	b.metrics.queued(1, 0)
	return &flight{budget: b, records: records, forget: func() {}}, nil
}

// cut returns the offset at which a decoded batch must be cut for its pairs to
// fit into their share; false when they do, or when it is a single post.
func (b *budget) cut(batch *schemas.Batch) (int64, bool) {
	fit := int(b.pairs.size / b.rowBytes)
	if int(batch.Pairs().NumRows()) <= fit {
		return 0, false
	}
	post := max(1, int(schemas.Col[*array.Int32](batch.Pairs(), schemas.PairPost).Value(fit)))
	if post >= int(batch.Posts().NumRows()) {
		return 0, false
	}
	return schemas.Col[*array.Int64](batch.Posts(), schemas.RecordOffset).Value(post), true
}

// see waits for room for what the model makes of the batch's pairs.
func (f *flight) see(ctx context.Context) (err error) {
	if f.pairs, err = f.budget.pairs.take(ctx, f.batch.Pairs().NumRows()*f.rowBytes); err != nil {
		return fmt.Errorf("waiting for room for what the model sees: %w", err)
	}
	return nil
}

// seen frees what only media and dead letters need.
func (f *flight) seen(alloc memory.Allocator) {
	f.batch.DropValues(alloc)
	f.settle()
}

// inferred frees the room of the images' vectors.
func (f *flight) inferred(memory.Allocator) {
	f.pairs = f.budget.pairs.keep(f.pairs, f.batch.Pairs().NumRows()*(f.rowBytes-f.vector))
}

// settle keeps of the records' share what the tables have of it.
func (f *flight) settle() {
	var n int64
	for _, rec := range f.batch.Tables() {
		for i, col := range rec.Columns() {
			if rec.ColumnName(i) != schemas.PairVector {
				n += bytesOf(col.Data())
			}
		}
	}
	f.records = f.budget.records.keep(f.records, n)
}

func (f *flight) release() {
	if f.batch != nil {
		f.batch.Release()
	}
	f.forget()
	f.metrics.queued(-1, 0)
	f.budget.pairs.keep(f.pairs, 0)
	f.budget.records.keep(f.records, 0)
	f.batches.Release(1)
}

// bytesOf adds up an array's buffers. Arrow v15's own SizeInBytes panics on
// a column without nulls, which has no validity buffer.
func bytesOf(data arrow.ArrayData) int64 {
	var n int64
	for _, b := range data.Buffers() {
		if b != nil {
			n += int64(b.Cap())
		}
	}
	for _, child := range data.Children() {
		n += bytesOf(child)
	}
	return n
}
