package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
)

// Reader reads one shard. Its memory is that of one row group's wanted
// columns, as they are in the file, and one page of each.
//
// It takes Parquet's values one by one: arrow's reader of whole columns fails
// on null structs, and panics in goroutines of its own on corrupt files.
type Reader struct {
	file   *file.Reader
	leaves map[string][]int // Parquet's columns of each of ours
}

// NewReader reads the shard in r. Close closes r where it can be closed. The
// garbage collector must be what frees alloc's memory, for arrow's Parquet reader hands
// out values of pages that it has released.
func NewReader(r parquet.ReaderAtSeeker, alloc memory.Allocator) (_ *Reader, err error) {
	defer func() {
		if err != nil {
			if c, ok := r.(io.Closer); ok {
				err = errors.Join(err, c.Close())
			}
		}
	}()
	defer recovered(&err)
	f, err := file.NewParquetReader(r, file.WithReadProps(parquet.NewReaderProperties(alloc)))
	if err != nil {
		return nil, fmt.Errorf("dataset: no Parquet file: %w", err)
	}
	out := &Reader{file: f, leaves: make(map[string][]int)}
	schema := f.MetaData().Schema
	for i := range schema.NumColumns() {
		name := schema.Column(i).ColumnPath()[0]
		out.leaves[name] = append(out.leaves[name], i)
	}
	for _, c := range columns {
		if err := out.check(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// recovered makes an error of a panic: arrow's Parquet reader panics on some
// files that are cut or bent.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("dataset: a corrupt shard: %v", p)
	}
}

// check reports a column that is there and is not as ours is. One that is not
// there is left empty: an older version wrote the shard.
func (r *Reader) check(c column) error {
	at := r.leaves[c.name]
	if len(at) == 0 {
		return nil
	}
	if len(at) != len(c.leaves) {
		return fmt.Errorf("dataset: column %s has %d parts, not %d", c.name, len(at), len(c.leaves))
	}
	for k, i := range at {
		got := r.file.MetaData().Schema.Column(i)
		if got.PhysicalType() != c.leaves[k] || got.MaxRepetitionLevel() > 1 {
			return fmt.Errorf("dataset: column %s is %s, not %s", got.Path(), got.PhysicalType(), c.leaves[k])
		}
	}
	return nil
}

// NumRows returns how many rows the shard has.
func (r *Reader) NumRows() int64 { return r.file.NumRows() }

// Close closes what NewReader was given.
func (r *Reader) Close() error { return r.file.Close() }

// Rows reads all rows with only the named columns filled, or all of them when
// none is named. The rows are the caller's. It ends after the first error.
func (r *Reader) Rows(ctx context.Context, names ...string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		cols, err := project(names)
		for group := 0; err == nil && group < r.file.NumRowGroups(); group++ {
			var more bool
			if more, err = r.group(ctx, group, cols, yield); !more && err == nil {
				return
			}
		}
		if err != nil {
			yield(Row{}, err)
		}
	}
}

func project(names []string) (cols []column, err error) {
	if len(names) == 0 {
		return columns, nil
	}
	for _, name := range names {
		c, ok := columnNamed(name)
		if !ok {
			return nil, fmt.Errorf("dataset: there is no column %q", name)
		}
		cols = append(cols, c)
	}
	return cols, nil
}

// group hands the rows of one row group on; false when no more are wanted.
func (r *Reader) group(ctx context.Context, group int, cols []column, yield func(Row, error) bool) (more bool, err error) {
	leaves, rows, err := r.open(group, cols)
	if err != nil {
		return false, err
	}
	for range rows {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		row, err := assemble(leaves)
		if err != nil {
			return false, err
		}
		if !yield(row, nil) {
			return false, nil
		}
	}
	return true, nil
}

func (r *Reader) open(group int, cols []column) (leaves []leaf, rows int64, err error) {
	defer recovered(&err)
	rg := r.file.RowGroup(group)
	for _, c := range cols {
		for part, i := range r.leaves[c.name] {
			chunk, err := rg.Column(i)
			if err != nil {
				return nil, 0, fmt.Errorf("dataset: opening column %s: %w", c.name, err)
			}
			leaves = append(leaves, leaf{column: c, part: part, chunk: chunk})
		}
	}
	return leaves, rg.NumRows(), nil
}

func assemble(leaves []leaf) (row Row, err error) {
	defer recovered(&err)
	for i := range leaves {
		l := &leaves[i]
		values, err := l.row()
		if err != nil {
			return Row{}, fmt.Errorf("dataset: reading column %s: %w", l.column.name, err)
		}
		if len(values) > 0 {
			l.column.get(&row, l.part, values)
		}
	}
	return row, nil
}

// leaf is one of Parquet's columns in one row group.
type leaf struct {
	column column
	part   int
	chunk  file.ColumnChunkReader

	values []any // of the row read last
	ahead  level // read, and of the row to come
	has    bool
}

// level is one entry of a column: nil where there is no value.
type level struct {
	value any
	rep   int16
}

var errShort = errors.New("it ends before its rows do")

// row returns the values of the next row that are not null; they are valid
// until the next call.
func (l *leaf) row() ([]any, error) {
	l.values = l.values[:0]
	for first := true; ; first = false {
		if !l.has {
			if !l.chunk.HasNext() {
				if err := l.chunk.Err(); err != nil || !first {
					return l.values, err
				}
				return nil, errShort
			}
			var err error
			if l.ahead, err = l.next(); err != nil {
				return nil, err
			}
			l.has = true
		}
		if !first && l.ahead.rep == 0 {
			return l.values, nil
		}
		l.has = false
		if l.ahead.value != nil {
			l.values = append(l.values, l.ahead.value)
		}
		if l.chunk.Descriptor().MaxRepetitionLevel() == 0 {
			return l.values, nil
		}
	}
}

func (l *leaf) next() (level, error) {
	switch chunk := l.chunk.(type) {
	case *file.ByteArrayColumnChunkReader:
		v, at, err := one(chunk.ReadBatch)
		if at.value != nil {
			at.value = string(v) // a copy: the page goes with the next value
		}
		return at, err
	case *file.Int64ColumnChunkReader:
		_, at, err := one(chunk.ReadBatch)
		return at, err
	case *file.Int32ColumnChunkReader:
		_, at, err := one(chunk.ReadBatch)
		return at, err
	case *file.Float32ColumnChunkReader:
		_, at, err := one(chunk.ReadBatch)
		return at, err
	case *file.Float64ColumnChunkReader:
		_, at, err := one(chunk.ReadBatch)
		return at, err
	case *file.BooleanColumnChunkReader:
		_, at, err := one(chunk.ReadBatch)
		return at, err
	}
	return level{}, fmt.Errorf("a column of %s", l.chunk.Type())
}

// one reads a single entry: more could reach into the next page, and the
// bytes of this one would be gone.
func one[T any](read func(int64, []T, []int16, []int16) (int64, int, error)) (T, level, error) {
	var value [1]T
	var def, rep [1]int16
	n, values, err := read(1, value[:], def[:], rep[:])
	switch {
	case err != nil:
		return value[0], level{}, err
	case n != 1:
		return value[0], level{}, errShort
	case values == 0:
		return value[0], level{rep: rep[0]}, nil
	}
	return value[0], level{value: value[0], rep: rep[0]}, nil
}
