package kafka

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
)

// valueColumn grows the column of the records' values, which are nearly all
// that is copied. Arrow's own builder would zero the memory before.
type valueColumn struct {
	alloc memory.Allocator
	data  *memory.Buffer
	used  int
	ends  []int32
	valid []bool
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
}

// array returns the column.
func (c *valueColumn) array() arrow.Array { return schemas.Binary(c.alloc, c.data, c.ends, c.valid) }
