package kafka

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// valueColumn grows the column of the records' values, which are nearly all
// that is copied. Arrow's own builder would zero the memory before.
type valueColumn struct {
	alloc memory.Allocator
	data  *memory.Buffer
	used  int
	ends  []int32
	valid []bool
	nulls int
}

func newValueColumn(alloc memory.Allocator) *valueColumn {
	return &valueColumn{alloc: alloc, data: memory.NewResizableBuffer(alloc)}
}

func (c *valueColumn) release() { c.data.Release() }

// reserve makes room for n bytes, so that most columns are allocated once.
func (c *valueColumn) reserve(n int) {
	if need := c.used + n; need > c.data.Len() {
		c.data.Resize(need)
	}
}

// append adds a value; nil is null.
func (c *valueColumn) append(v []byte) {
	if need := c.used + len(v); need > c.data.Len() {
		c.data.Resize(max(need, 2*c.data.Len()))
	}
	c.used += copy(c.data.Bytes()[c.used:], v)
	c.ends = append(c.ends, int32(c.used)) //nolint:gosec // a batch's bytes are bounded far below
	c.valid = append(c.valid, v != nil)
	if v == nil {
		c.nulls++
	}
}

// array returns the column.
func (c *valueColumn) array() arrow.Array {
	valid, offsets := memory.NewResizableBuffer(c.alloc), memory.NewResizableBuffer(c.alloc)
	defer valid.Release()
	defer offsets.Release()
	valid.Resize(int(bitutil.BytesForBits(int64(len(c.valid)))))
	memory.Set(valid.Bytes(), 0)
	for i, v := range c.valid {
		bitutil.SetBitTo(valid.Bytes(), i, v)
	}
	offsets.Resize(arrow.Int32Traits.BytesRequired(len(c.ends) + 1))
	starts := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	starts[0] = 0
	copy(starts[1:], c.ends)
	c.data.Reserve(1) // an empty value is no null, also where nothing else is there
	c.data.ResizeNoShrink(c.used)
	data := array.NewData(arrow.BinaryTypes.Binary, len(c.ends), []*memory.Buffer{valid, offsets, c.data}, nil, c.nulls, 0)
	defer data.Release()
	return array.NewBinaryData(data)
}
