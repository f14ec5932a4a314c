package kafka

import (
	"bytes"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is appended comes out, null, empty or large, however much was reserved.
func TestValueColumn(t *testing.T) {
	t.Parallel()
	value := rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOfN(rapid.Byte(), 0, 200))
	rapid.Check(t, func(t *rapid.T) {
		alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
		want := rapid.SliceOfN(value, 0, 20).Draw(t, "values")
		c := newValueColumn(alloc)
		if rapid.Bool().Draw(t, "reserves") {
			c.reserve(rapid.IntRange(0, 1000).Draw(t, "bytes"))
		}
		for _, v := range want {
			c.append(v)
		}
		got := c.array().(*array.Binary)
		c.release()
		require.Equal(t, len(want), got.Len())
		for i, v := range want {
			require.Equal(t, v == nil, got.IsNull(i))
			if v != nil {
				require.NotNil(t, got.Value(i))
				require.True(t, bytes.Equal(v, got.Value(i)))
			}
		}
		got.Release()
		require.Zero(t, alloc.CurrentAlloc())
	})
}
