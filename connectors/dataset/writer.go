package dataset

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

const (
	// A reader that shuffles takes a row group at a time, so it shall fit into
	// memory many times over and still be one big read.
	groupRows  = 1000
	groupBytes = 32 << 20

	pageBytes = 1 << 20
	// The writer looks at a page's size only after this many values, which are
	// images.
	pageStep = 16
)

// Writer writes one shard. Its memory is that of one row group: groupBytes
// and one row, and about as much again while the group is written. It is for one
// goroutine.
type Writer struct {
	file    *pqarrow.FileWriter
	out     *counted
	builder *array.RecordBuilder
	group   int // rows in builder
	pending int64
	rows    int
}

// NewWriter writes a shard to out, which stays the caller's to close.
func NewWriter(out io.Writer, alloc memory.Allocator) (*Writer, error) {
	return newWriter(out, alloc, compress.Codecs.Zstd)
}

func newWriter(out io.Writer, alloc memory.Allocator, codec compress.Compression) (*Writer, error) {
	schema := Schema()
	props := parquet.NewWriterProperties(
		parquet.WithAllocator(alloc),
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCompression(codec),
		parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithBatchSize(pageStep),
		parquet.WithDictionaryDefault(false),
		parquet.WithDictionaryFor(ColSource, true),
		parquet.WithDictionaryFor(ColInputTopic, true),
		parquet.WithDictionaryFor(ColModelName, true),
		parquet.WithDictionaryFor(ColModelVersion, true),
		parquet.WithDictionaryFor(ColModelDigest, true),
		parquet.WithDictionaryFor(ColConfigDigest, true),
		parquet.WithDictionaryFor(ColSelectedReason, true),
		// Least and greatest image would be stored with each page.
		parquet.WithStatsFor(ColImage+".bytes", false),
	)
	w := &Writer{out: &counted{w: out}, builder: array.NewRecordBuilder(alloc, schema)}
	var err error
	if w.file, err = pqarrow.NewFileWriter(schema, w.out, props, pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(alloc))); err != nil {
		w.builder.Release()
		return nil, fmt.Errorf("dataset: a shard's writer: %w", err)
	}
	return w, nil
}

// Add appends a row, which is copied.
func (w *Writer) Add(r *Row) error {
	for i, c := range columns {
		c.put(w.builder.Field(i), r)
	}
	w.rows++
	w.group++
	w.pending += size(r)
	if w.group >= groupRows || w.pending >= groupBytes {
		return w.flush()
	}
	return nil
}

// size is about what a row takes in memory.
func size(r *Row) int64 {
	c := &r.Collected
	return int64(len(r.Image)+len(c.Text)+len(c.Alt)+len(c.URI)+len(r.OCR)+len(r.Caption)+len(r.TextHash)) + 1024
}

// flush writes the row group.
func (w *Writer) flush() error {
	if w.group == 0 {
		return nil
	}
	rec := w.builder.NewRecord()
	defer rec.Release()
	w.group, w.pending = 0, 0
	if err := w.file.Write(rec); err != nil {
		return fmt.Errorf("dataset: writing a row group: %w", err)
	}
	return nil
}

// Rows returns how many rows were added.
func (w *Writer) Rows() int { return w.rows }

// Bytes returns about how long the shard would be if it ended now.
func (w *Writer) Bytes() int64 { return w.out.n + w.pending }

// Close writes what is left and the footer, and releases the memory. It must
// be called once, after a failure too.
func (w *Writer) Close() error { return w.end(w.flush()) }

// abandon is Close without the rows that are left.
func (w *Writer) abandon() error { return w.end(nil) }

func (w *Writer) end(err error) error {
	w.builder.Release()
	if err := errors.Join(err, w.file.Close()); err != nil {
		return fmt.Errorf("dataset: ending a shard: %w", err)
	}
	return nil
}

// counted counts what is written, and hides that its writer can be closed:
// the Parquet writer would close it.
type counted struct {
	w io.Writer
	n int64
}

// Write writes.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
