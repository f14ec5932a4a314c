package schemas

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Binary makes a column of values that lie one after the other in data, each
// up to its end; those that are not valid are null. data stays the caller's, and
// is cut behind the last value. Arrow's builder would have zeroed its memory first.
func Binary(alloc memory.Allocator, data *memory.Buffer, ends []int32, valid []bool) *array.Binary {
	bits, offsets := memory.NewResizableBuffer(alloc), memory.NewResizableBuffer(alloc)
	defer bits.Release()
	defer offsets.Release()
	bits.Resize(int(bitutil.BytesForBits(int64(len(valid)))))
	memory.Set(bits.Bytes(), 0)
	nulls, used := 0, int32(0)
	for i, v := range valid {
		bitutil.SetBitTo(bits.Bytes(), i, v)
		if !v {
			nulls++
		}
		used = ends[i]
	}
	offsets.Resize(arrow.Int32Traits.BytesRequired(len(ends) + 1))
	starts := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	starts[0] = 0
	copy(starts[1:], ends)
	data.Reserve(1) // an empty value is no null, also where nothing else is there
	data.ResizeNoShrink(int(used))
	d := array.NewData(arrow.BinaryTypes.Binary, len(ends), []*memory.Buffer{bits, offsets, data}, nil, nulls, 0)
	defer d.Release()
	return array.NewBinaryData(d)
}
