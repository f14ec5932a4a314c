package schemas

import (
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Partition names one partition of one Kafka topic.
type Partition struct {
	Topic string
	ID    int32
}

// String returns topic/partition, the form used in Redis keys and logs.
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.ID) }

// OffsetRange is [First, End) in one partition. It may hold fewer records
// than offsets: Kafka's offsets have gaps.
type OffsetRange struct {
	First, End int64
}

// String returns the range in half-open notation.
func (r OffsetRange) String() string { return fmt.Sprintf("[%d,%d)", r.First, r.End) }

// Batch is the unit that flows, is folded and is committed: all posts of one
// offset range of one partition, as two Arrow tables.
//
//   - Posts has one row for each input record, in offset order, whatever
//     became of it. The source writes where it came from and its bytes; decode adds
//     the post's fields.
//   - Pairs has one row for each (post, image), in post order; its column
//     PairPost points to the row in Posts. Decode creates it; later stages add
//     columns to it.
//
// Rows never move and never disappear: a post that fails is marked by Reject,
// a pair that fails carries its reason in PairFailure. A batch may have no
// rows at all and still advance its partition.
//
// A batch owns its tables. Stages borrow it one after the other, so it needs
// no lock; Release frees it once every outcome is durable.
type Batch struct {
	Partition Partition
	Offsets   OffsetRange
	// Fetched is when the source handed over the batch.
	Fetched time.Time
	// Timings is filled by the runner as each stage finishes.
	Timings Timings
	// Events are what the cluster stage has to tell the clusters topic; they
	// are emitted with the batch, and recorded with its fold.
	Events []ClusterEvent

	posts, pairs arrow.Record
	rejects      map[int]Reject
	settled      bool // no post is rejected any more
}

// NewBatch makes a batch of the source's columns (RecordFields). It takes
// over the caller's reference to posts.
func NewBatch(p Partition, r OffsetRange, posts arrow.Record) *Batch {
	return &Batch{Partition: p, Offsets: r, posts: posts}
}

// Posts returns the table of posts, borrowed.
func (b *Batch) Posts() arrow.Record { return b.posts }

// Pairs returns the table of pairs, borrowed; nil before decode.
func (b *Batch) Pairs() arrow.Record { return b.pairs }

// Tables returns the tables that the batch has, borrowed.
func (b *Batch) Tables() []arrow.Record {
	if b.pairs == nil {
		return []arrow.Record{b.posts}
	}
	return []arrow.Record{b.posts, b.pairs}
}

// SetPairs gives the batch its table of pairs and takes over the caller's
// reference.
func (b *Batch) SetPairs(pairs arrow.Record) {
	if b.pairs != nil {
		b.pairs.Release()
	}
	b.pairs = pairs
}

// AddPosts adds columns to Posts, taking over the caller's references. A
// column of the same name is replaced, so a stage that is retried may add
// its columns again.
func (b *Batch) AddPosts(fields []arrow.Field, cols []arrow.Array) {
	b.posts = withColumns(b.posts, fields, cols)
}

// AddPairs does the same for Pairs.
func (b *Batch) AddPairs(fields []arrow.Field, cols []arrow.Array) {
	b.pairs = withColumns(b.pairs, fields, cols)
}

// DropPairs frees columns of Pairs that no later stage reads: encoded images
// after media, vectors of images after infer.
func (b *Batch) DropPairs(names ...string) {
	drop := make(map[string]bool, len(names))
	for _, n := range names {
		drop[n] = true
	}
	old := b.pairs
	var fields []arrow.Field
	var cols []arrow.Array
	for i, f := range old.Schema().Fields() {
		if !drop[f.Name] {
			fields = append(fields, f)
			cols = append(cols, old.Column(i))
		}
	}
	b.pairs = array.NewRecord(arrow.NewSchema(fields, nil), cols, old.NumRows())
	old.Release()
}

// DropValues frees the values of all records but the dead letters'. Nothing
// else reads them once it is known which those are: a post that is rejected after
// this is a programming error, and panics.
func (b *Batch) DropValues(alloc memory.Allocator) {
	b.settled = true
	values := Col[*array.Binary](b.posts, RecordValue)
	kept := array.NewBinaryBuilder(alloc, arrow.BinaryTypes.Binary)
	defer kept.Release()
	for row := range values.Len() {
		if _, rejected := b.rejects[row]; rejected && values.IsValid(row) {
			kept.Append(values.Value(row))
		} else {
			kept.AppendNull()
		}
	}
	b.AddPosts([]arrow.Field{{Name: RecordValue, Type: arrow.BinaryTypes.Binary, Nullable: true}}, []arrow.Array{kept.NewArray()})
}

// Reject marks a post as a dead letter. The first reason stays.
func (b *Batch) Reject(row int, r Reject) {
	if b.settled {
		panic("schemas: a post is rejected after the values were dropped")
	}
	if _, ok := b.rejects[row]; ok {
		return
	}
	if b.rejects == nil {
		b.rejects = make(map[int]Reject)
	}
	b.rejects[row] = r
}

// Rejected returns why a post is a dead letter, if it is one.
func (b *Batch) Rejected(row int) (Reject, bool) {
	r, ok := b.rejects[row]
	return r, ok
}

// Release frees the tables. The batch must not be used afterwards.
func (b *Batch) Release() {
	if b.posts != nil {
		b.posts.Release()
		b.posts = nil
	}
	if b.pairs != nil {
		b.pairs.Release()
		b.pairs = nil
	}
}

// Col returns the column called name as its concrete array type, borrowed.
// A missing column or another type is a programming error and panics.
func Col[A arrow.Array](rec arrow.Record, name string) A {
	idx := rec.Schema().FieldIndices(name)
	if len(idx) != 1 {
		panic(fmt.Sprintf("schemas: %d columns called %q in %v", len(idx), name, rec.Schema()))
	}
	return rec.Column(idx[0]).(A)
}

// Has reports whether rec has a column called name.
func Has(rec arrow.Record, name string) bool {
	return rec != nil && rec.Schema().HasField(name)
}

func withColumns(old arrow.Record, fields []arrow.Field, cols []arrow.Array) arrow.Record {
	if len(fields) != len(cols) {
		panic(fmt.Sprintf("schemas: %d fields for %d columns", len(fields), len(cols)))
	}
	allFields := append([]arrow.Field(nil), old.Schema().Fields()...)
	allCols := append([]arrow.Array(nil), old.Columns()...)
	for i, f := range fields {
		if at := old.Schema().FieldIndices(f.Name); len(at) > 0 {
			allFields[at[0]], allCols[at[0]] = f, cols[i]
			continue
		}
		allFields, allCols = append(allFields, f), append(allCols, cols[i])
	}
	rec := array.NewRecord(arrow.NewSchema(allFields, nil), allCols, old.NumRows())
	for _, c := range cols {
		c.Release()
	}
	old.Release()
	return rec
}
