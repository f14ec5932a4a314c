// Package schematest builds batches in tests: of input records as a source
// would fetch them, and of columns written down as JSON rows.
package schematest

import (
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
)

// Start is the time that batches and records bear unless they say otherwise.
var Start = time.Date(2026, 9, 1, 10, 15, 30, 250_000_000, time.UTC)

// Partition is where test batches come from when it does not matter.
var Partition = schemas.Partition{Topic: "posts", ID: 3}

// Record is one input record. A nil Value is a tombstone, a nil Key no key.
type Record struct {
	Offset     int64
	Time       time.Time // Start when zero
	Key, Value []byte
	Headers    []Header
}

// Header is one header of a record; a nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// Values returns records of these values at offsets 0, 1, 2, … without keys.
func Values(values ...string) []Record {
	records := make([]Record, len(values))
	for i, v := range values {
		records[i] = Record{Offset: int64(i), Value: []byte(v)}
	}
	return records
}

// Decoded returns a batch of n records whose Posts hold what AddPosts would
// add for rows, one JSON object of PostFields each, and whose Pairs hold
// pairs, one JSON object of PairFields each.
func Decoded(tb testing.TB, alloc memory.Allocator, posts, pairs []string) *schemas.Batch {
	tb.Helper()
	b := NewBatch(tb, alloc, Values(make([]string, len(posts))...)...)
	AddPosts(tb, alloc, b, schemas.PostFields(), posts...)
	b.SetPairs(Rows(tb, alloc, schemas.PairFields(), pairs...))
	return b
}

// NewBatch returns a batch of Partition that spans the records' offsets, with
// the source's columns. Offsets must ascend and may have gaps.
func NewBatch(tb testing.TB, alloc memory.Allocator, records ...Record) *schemas.Batch {
	tb.Helper()
	var span schemas.OffsetRange
	if len(records) > 0 {
		span = schemas.OffsetRange{First: records[0].Offset, End: records[len(records)-1].Offset + 1}
	}
	return NewBatchOf(tb, alloc, Partition, span, records...)
}

// NewBatchOf does the same for any partition and offset range.
func NewBatchOf(
	tb testing.TB, alloc memory.Allocator, p schemas.Partition, span schemas.OffsetRange, records ...Record,
) *schemas.Batch {
	tb.Helper()
	rb := array.NewRecordBuilder(alloc, arrow.NewSchema(schemas.RecordFields(), nil))
	defer rb.Release()
	offsets, times := rb.Field(0).(*array.Int64Builder), rb.Field(1).(*array.TimestampBuilder)
	keys, values := rb.Field(2).(*array.BinaryBuilder), rb.Field(3).(*array.BinaryBuilder)
	lists := rb.Field(4).(*array.ListBuilder)
	headers := lists.ValueBuilder().(*array.StructBuilder)
	names, contents := headers.FieldBuilder(0).(*array.StringBuilder), headers.FieldBuilder(1).(*array.BinaryBuilder)

	next := span.First
	for _, r := range records {
		if r.Offset < next || r.Offset >= span.End {
			tb.Fatalf("schematest: offset %d is out of order or outside %v", r.Offset, span)
		}
		next = r.Offset + 1
		if r.Time.IsZero() {
			r.Time = Start
		}
		offsets.Append(r.Offset)
		times.Append(arrow.Timestamp(r.Time.UnixMilli()))
		appendBytes(keys, r.Key)
		appendBytes(values, r.Value)
		lists.Append(true)
		for _, h := range r.Headers {
			headers.Append(true)
			names.Append(h.Key)
			appendBytes(contents, h.Value)
		}
	}
	b := schemas.NewBatch(p, span, rb.NewRecord())
	b.Fetched = Start
	return b
}

// Rows returns a table of one JSON object a row, as array.RecordFromJSON
// reads them.
func Rows(tb testing.TB, alloc memory.Allocator, fields []arrow.Field, rows ...string) arrow.Record {
	tb.Helper()
	rec, _, err := array.RecordFromJSON(alloc, arrow.NewSchema(fields, nil),
		strings.NewReader("["+strings.Join(rows, ",")+"]"))
	if err != nil {
		tb.Fatalf("schematest: %v", err)
	}
	return rec
}

// AddPosts adds columns, written as JSON rows, to the batch's posts.
func AddPosts(tb testing.TB, alloc memory.Allocator, b *schemas.Batch, fields []arrow.Field, rows ...string) {
	tb.Helper()
	b.AddPosts(fields, columns(tb, alloc, fields, rows))
}

// AddPairs adds columns, written as JSON rows, to the batch's pairs.
func AddPairs(tb testing.TB, alloc memory.Allocator, b *schemas.Batch, fields []arrow.Field, rows ...string) {
	tb.Helper()
	b.AddPairs(fields, columns(tb, alloc, fields, rows))
}

func columns(tb testing.TB, alloc memory.Allocator, fields []arrow.Field, rows []string) []arrow.Array {
	tb.Helper()
	rec := Rows(tb, alloc, fields, rows...)
	defer rec.Release()
	for _, c := range rec.Columns() {
		c.Retain()
	}
	return rec.Columns()
}

func appendBytes(b *array.BinaryBuilder, v []byte) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(v)
}
