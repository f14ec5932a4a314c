package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas/schematest"
)

func TestAFullQueueStopsTheNextBatch(t *testing.T) {
	t.Parallel()
	for name, queue := range map[string]config.Queue{
		"by count": {MaxBatches: 1, MaxBytes: 1 << 30},
		"by bytes": {MaxBatches: 100, MaxBytes: 1}, // one that is larger than all goes alone
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer alloc.AssertSize(t, 0)
			b := newBudget(queue, 1<<10, nil)
			first, err := b.admit(t.Context(), schematest.NewBatch(t, alloc, schematest.Values(`{}`)...))
			require.NoError(t, err)

			second := schematest.NewBatch(t, alloc, schematest.Values(`{}`)...)
			full, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err = b.admit(full, second)
			require.ErrorIs(t, err, context.DeadlineExceeded)

			first.release()
			admitted, err := b.admit(t.Context(), second)
			require.NoError(t, err)
			admitted.release()
		})
	}
}

func TestABatchCostsItsBytesAndWhatItsPairsWillTake(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := newBudget(config.Default().Queue, 1000, nil)
	batch := schematest.Decoded(t, alloc, []string{
		`{"record_offset":0,"record_value":"AAAA","post_op":"create","post_id":"a"}`,
	}, []string{`{"pair_post":0,"pair_index":0}`, `{"pair_post":0,"pair_index":1}`})
	defer batch.Release()
	require.GreaterOrEqual(t, b.size(batch), int64(2000))
	require.Less(t, b.size(batch), int64(4000))
}
