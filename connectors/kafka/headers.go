package kafka

import (
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/schemas"
)

// HeadersAt returns the headers that came with an input record, in their
// order, borrowed from the batch.
func HeadersAt(b *schemas.Batch, row int) []Header {
	list := schemas.Col[*array.List](b.Posts(), schemas.RecordHeaders)
	fields := list.ListValues().(*array.Struct)
	keys, values := fields.Field(0).(*array.String), fields.Field(1).(*array.Binary)
	first, end := list.ValueOffsets(row)
	headers := make([]Header, 0, end-first)
	for i := int(first); i < int(end); i++ {
		headers = append(headers, Header{Key: keys.Value(i), Value: schemas.BytesAt(values, i)})
	}
	return headers
}
