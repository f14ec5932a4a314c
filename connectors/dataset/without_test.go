package dataset

import (
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
)

// TestShardGoesWhileItIsRead, as when another takedown has rewritten it: who
// reads can tell, and who rewrites has lost.
func TestShardGoesWhileItIsRead(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	e := appended(t, c, 10, 1, 2)
	r, err := f.Shard(t.Context(), e.Shard, memory.DefaultAllocator)
	require.NoError(t, err)
	defer r.Close()
	gone := 0
	for _, err := range func(yield func(Row, error) bool) {
		require.NoError(t, f.store.Delete(t.Context(), e.Shard))
		r.Rows(t.Context())(yield)
	} {
		require.True(t, IsNotExist(err), "%v", err)
		gone++
	}
	require.Equal(t, 1, gone)
	_, err = c.Without(t.Context(), e, memory.DefaultAllocator, clock, func(*Row) bool { return true })
	require.ErrorIs(t, err, ErrLost)
}

// TestShardIsRewrittenByTwo has one of them find the other's.
func TestShardIsRewrittenByTwo(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	e := appended(t, c, 10, 1, 2, 3)
	other, err := f.Chain(t.Context(), input)
	require.NoError(t, err)
	_, err = other.Without(t.Context(), e, memory.DefaultAllocator, clock, func(r *Row) bool { return r.Collected.Input.Offset == 1 })
	require.NoError(t, err)
	_, err = c.Without(t.Context(), e, memory.DefaultAllocator, clock, func(r *Row) bool { return r.Collected.Input.Offset == 2 })
	require.ErrorIs(t, err, ErrLost)
	require.NoError(t, c.Load(t.Context()))
	next, err := c.Without(t.Context(), c.Entries()[0], memory.DefaultAllocator, clock, func(r *Row) bool { return r.Collected.Input.Offset == 2 })
	require.NoError(t, err)
	require.Equal(t, 2, next.Rev)
	require.Equal(t, int64(2), next.Removed)
	require.Equal(t, []int64{3}, offsets(t.Context(), t, f))
	same, err := c.Without(t.Context(), next, memory.DefaultAllocator, clock, func(*Row) bool { return false })
	require.NoError(t, err)
	require.Equal(t, next, same)
}

// TestRewrittenEntriesTellNothing of the rows that went: licences and
// languages are the posts' own words.
func TestRewrittenEntriesTellNothing(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	e := appended(t, c, 10, 1, 2, 3)
	for offset := int64(1); offset <= 2; offset++ {
		e, err = c.Without(t.Context(), e, memory.DefaultAllocator, clock, func(r *Row) bool { return r.Collected.Input.Offset == offset })
		require.NoError(t, err)
	}
	for rev := range 3 {
		key := c.at(e.From, rev).key()
		text, err := f.store.ReadAll(t.Context(), key)
		require.NoError(t, err)
		read, err := parseEntry(key, text)
		require.NoError(t, err)
		if rev < 2 {
			require.Equal(t, Stats{}, read.Stats, "revision %d", rev)
		} else {
			require.Equal(t, int64(1), read.Stats.Rows)
		}
	}
	again, err := newFolder(f.store).Chain(t.Context(), input)
	require.NoError(t, err)
	require.Equal(t, c.Entries(), again.Entries())
}
