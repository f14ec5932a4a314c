package collector

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector/duplicates"
	"github.com/itrstream/itrstream/schemas"
)

// counting calls hook at each allocation.
type counting struct {
	memory.Allocator
	hook func()
}

func (c *counting) Allocate(n int) []byte {
	c.hook()
	return c.Allocator.Allocate(n)
}

// A shard that goes while it is read, as when a takedown rewrites it, is read
// again later and ends nothing, whatever was read of it.
func TestShardGoesWhileItIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, err := dataset.Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	chain, err := folder.Begin(t.Context(), schemas.Partition{Topic: "collected"}, "k", 0)
	require.NoError(t, err)
	draft, err := dataset.NewDraft(memory.DefaultAllocator)
	require.NoError(t, err)
	const rows = 2500 // three row groups
	for i := range rows {
		require.NoError(t, draft.Add(&dataset.Row{
			Collected: schemas.Collected{ResultID: "r", Pair: i, CollectedAt: time.Unix(0, 0)}, ImageHash: new(int64(i)), TextHash: []byte{},
		}))
	}
	_, err = chain.Append(t.Context(), draft, rows, dataset.Entry{}, time.Now())
	require.NoError(t, err)
	require.NoError(t, draft.Discard())
	files, err := filepath.Glob(filepath.Join(dir, "data", "*", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)

	missed := 0
	for after := 1; ; after++ {
		allocations := 0
		s, err := newSeen(folder, &counting{memory.DefaultAllocator, func() {
			if allocations++; allocations == after {
				assert.NoError(t, os.Rename(files[0], files[0]+".gone"))
			}
		}}, duplicates.DefaultConfig())
		require.NoError(t, err)
		require.NoError(t, s.refresh(t.Context()))
		if allocations < after {
			break
		}
		if n := s.index.Len(); n == 0 {
			missed++
		} else {
			assert.Equal(t, rows, n)
		}
		require.NoError(t, os.Rename(files[0]+".gone", files[0]))
		require.NoError(t, s.refresh(t.Context()))
		assert.Equal(t, rows, s.index.Len())
	}
	assert.NotZero(t, missed)
}
