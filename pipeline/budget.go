package pipeline

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sync/semaphore"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

// budget bounds the batches between fetch and commit, over all partitions, by
// count and by bytes. A batch takes its whole share once, before it enters
// the chain, and in the order of its partition: nobody who holds a share waits for
// another, so there is no deadlock.
type budget struct {
	batches, bytes *semaphore.Weighted
	maxBytes       int64
	rowBytes       int64 // pixels and embedding of a pair
	metrics        *Metrics
}

func newBudget(q config.Queue, rowBytes int64, m *Metrics) *budget {
	return &budget{
		batches:  semaphore.NewWeighted(int64(q.MaxBatches)),
		bytes:    semaphore.NewWeighted(q.MaxBytes),
		maxBytes: q.MaxBytes,
		rowBytes: rowBytes,
		metrics:  m,
	}
}

// flight is a batch with its share of the budget.
type flight struct {
	batch   *schemas.Batch
	free    func()
	windows []window // of the stages it has passed
}

func (f *flight) release() {
	f.batch.Release()
	f.free()
}

// admit waits for room. The batch stays the caller's when that fails.
func (b *budget) admit(ctx context.Context, batch *schemas.Batch) (*flight, error) {
	size := min(b.size(batch), b.maxBytes) // one larger than everything goes alone
	if err := b.batches.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("waiting for a place in the queue: %w", err)
	}
	if err := b.bytes.Acquire(ctx, size); err != nil {
		b.batches.Release(1)
		return nil, fmt.Errorf("waiting for bytes in the queue: %w", err)
	}
	b.metrics.queued(1, size)
	return &flight{batch: batch, free: func() {
		b.metrics.queued(-1, -size)
		b.bytes.Release(size)
		b.batches.Release(1)
	}}, nil
}

// size is what a decoded batch takes at most on its way: its records, its
// encoded images, and what later stages add to each pair.
func (b *budget) size(batch *schemas.Batch) int64 {
	var n int64
	for _, rec := range batch.Tables() {
		for _, col := range rec.Columns() {
			n += bytesOf(col.Data())
		}
	}
	if pairs := batch.Pairs(); pairs != nil {
		n += pairs.NumRows() * b.rowBytes
	}
	return n
}

// bytesOf adds up an array's buffers. Arrow v15's own SizeInBytes panics on
// a column without nulls, which has no validity buffer.
func bytesOf(data arrow.ArrayData) int64 {
	var n int64
	for _, b := range data.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, child := range data.Children() {
		n += bytesOf(child)
	}
	return n
}
