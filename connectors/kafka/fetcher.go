package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Headers that a Fetcher adds to a record it could not deliver whole, so that
// people see why its value, too long or no JSON, became a dead letter.
const (
	// HeaderCut is the length, in bytes, of a record over Config.RecordMaxBytes,
	// or of one that was cut on its way into the dead-letter topic.
	HeaderCut = "itrstream-cut"
	// HeaderUnreadable says why a producer's batch makes no sense. The record's
	// value is the batch as it came; it stands for the rest of its offsets.
	HeaderUnreadable = "itrstream-unreadable"
)

// Limits bound one batch.
type Limits struct {
	MaxRows  int
	MaxBytes int // keys, values and headers; one record is always allowed
}

// Fetcher reads one partition at read_committed: what transactions aborted
// and what brokers write for themselves never shows. It holds one response of
// Config.FetchMaxBytes, or of its share of Settings.Room, and one record. It is
// for one goroutine. Close it.
type Fetcher struct {
	c     *Client
	p     schemas.Partition
	alloc memory.Allocator
	lim   Limits

	answer *answerBuffer // the response, or room for it; rest and batch borrow from it
	needs  int64         // what the last response took beyond our share; 0: it did not

	end      int64 // End of the batch handed out last
	next     int64 // offsets below are delivered, or hold nothing
	rest     []byte
	stable   int64
	aborted  []abortedTxn // not begun yet, by first offset
	aborting map[int64]bool
	batch    recordset.Batch
	records  *recordset.Records // of batch; nil when none is open
	pending  *pending           // read, but not delivered
}

// pending is a record that waits for the next batch.
type pending struct {
	recordset.Record
	end int64 // where its range ends
}

// NewFetcher returns a reader of p that makes its batches with alloc.
func (c *Client) NewFetcher(p schemas.Partition, alloc memory.Allocator, lim Limits) *Fetcher {
	c.room.enter(1)
	return &Fetcher{c: c, p: p, alloc: alloc, lim: lim, end: -1}
}

// Close frees what the Fetcher holds. Its batches stay.
func (f *Fetcher) Close() {
	f.seek(-1)
	f.c.room.enter(-1)
}

// Reserve waits for room for the next response, unless the last one is not
// read to its end. Wait does so, too: who calls Reserve before waits here for
// others, and there for the broker alone.
func (f *Fetcher) Reserve(ctx context.Context) error {
	if f.answer != nil {
		return nil
	}
	n := f.c.room.share(int64(f.c.cfg.FetchMaxBytes)+answerOverhead, f.needs)
	if err := f.c.room.acquire(ctx, n); err != nil {
		return context.Cause(ctx)
	}
	f.answer = &answerBuffer{room: f.c.room, alloc: f.alloc, held: n}
	return nil
}

// Wait waits for records at from, and returns how many bytes of keys, values
// and headers the next batch has at most; 0 when nothing has arrived within
// FetchMaxWait. Its errors are Next's.
func (f *Fetcher) Wait(ctx context.Context, from int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	if from != f.end {
		f.seek(from)
	}
	filled := 0
	if f.drained() && f.next == from {
		if err := f.fill(ctx); err != nil {
			return 0, err
		}
		filled = len(f.rest)
	}
	some, err := f.peek()
	switch {
	case some:
		return max(f.lim.MaxBytes, sizeOf(f.pending.Record)), nil
	case err != nil:
		f.forget()
		if f.next > from {
			return 1, nil // the gap goes first; the fault shows again in the next response
		}
		return 0, classify(ctx, "reading "+f.p.String(), err)
	case f.next > from:
		return 1, nil
	case filled > 0:
		// Without this the caller would ask again at once, for ever.
		return 0, &stages.Transient{Err: fmt.Errorf("kafka: fetching %s: %d bytes hold no whole batch at offset %d", f.p, filled, from)}
	}
	f.forget()
	return 0, nil
}

// Next returns the batch of offsets [from, End) with End ≤ cut (no cut when
// negative): at most the limits' rows and bytes, but one record at least.
// It is nil when nothing arrived within FetchMaxWait. A batch may have no
// rows and still an End beyond from: offsets have gaps.
//
// What a response holds beyond the limits is kept for the call whose from is
// this batch's End; any other from seeks.
//
// Errors: *OffsetRangeError when the log does not hold from,
// *stages.Transient when a retry may help, ctx's own cause when it has ended.
func (f *Fetcher) Next(ctx context.Context, from, cut int64) (*schemas.Batch, error) {
	if cut >= 0 && cut <= from {
		return nil, fmt.Errorf("kafka: %s: cut %d is not after offset %d", f.p, cut, from)
	}
	if some, err := f.Wait(ctx, from); err != nil || some == 0 {
		return nil, err // nothing has arrived, which is no fault
	}
	rows := newRows(f.alloc)
	defer rows.release()
	end := f.collect(rows, cut)
	if f.drained() {
		f.forget()
	}
	f.end = end
	b := schemas.NewBatch(f.p, schemas.OffsetRange{First: from, End: end}, rows.record())
	b.Fetched = f.c.now()
	return b, nil
}

// seek goes elsewhere.
func (f *Fetcher) seek(to int64) {
	f.forget()
	f.end, f.next = to, to
}

// forget frees the response.
func (f *Fetcher) forget() {
	f.closeBatch()
	f.rest = nil
	f.answer.free()
	f.answer = nil
}

func (f *Fetcher) closeBatch() {
	if f.records != nil {
		f.records.Close()
		f.records = nil
	}
	f.pending = nil
}

// drained reports whether the response has nothing left.
func (f *Fetcher) drained() bool { return f.pending == nil && f.records == nil && len(f.rest) == 0 }

// collect moves records from the response into rows, up to the limits, and
// returns the end of the range they cover.
func (f *Fetcher) collect(rows *rows, cut int64) int64 {
	size := 0
	for {
		some, err := f.peek()
		if err != nil {
			f.rest = nil
			return f.next // what is good goes first; the fault shows again in the next response
		}
		if cut >= 0 && (f.next >= cut || some && f.pending.Offset >= cut) {
			return cut
		}
		if !some {
			return f.next
		}
		r := f.pending.Record
		n := sizeOf(r)
		if rows.n > 0 && (rows.n >= f.lim.MaxRows || size+n > f.lim.MaxBytes) {
			return r.Offset
		}
		if rows.n == 0 {
			// One allocation for most batches: growing by doubling copies
			// megabytes. The first record stands for those that follow.
			expect := min(f.lim.MaxBytes, f.lim.MaxRows*len(r.Value)*5/4, len(f.rest)+len(f.batch.Raw))
			rows.value.reserve(max(expect, len(r.Value)))
		}
		rows.append(r)
		size += n
		f.next = f.pending.end
		f.pending = nil
	}
}

// sizeOf counts what Limits.MaxBytes bounds.
func sizeOf(r recordset.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// peek makes the next record at or after f.next pending, passing over
// batches that hold nothing for us. It is false at the end of the response.
func (f *Fetcher) peek() (bool, error) {
	for f.pending == nil {
		if f.records == nil {
			if open, err := f.openBatch(); err != nil || !open {
				return false, err
			}
			continue
		}
		r, err := f.records.Next()
		switch {
		case errors.Is(err, io.EOF):
			f.closeBatch()
			f.next = max(f.next, f.batch.Last+1)
		case err != nil:
			f.unreadable(err)
		case r.Offset >= f.next:
			if r.Cut > 0 {
				f.c.log.Warn("kafka: a record over record_max_bytes is cut",
					"topic", f.p.Topic, "partition", f.p.ID, "offset", r.Offset, "bytes", r.Cut)
				r.Headers = []recordset.Header{{Key: HeaderCut, Value: strconv.AppendInt(nil, r.Cut, 10)}}
			}
			f.pending = &pending{Record: r, end: r.Offset + 1}
		}
	}
	return true, nil
}

// openBatch opens the response's next batch that holds records for us. It is
// false at the end of the response.
func (f *Fetcher) openBatch() (bool, error) {
	for len(f.rest) > 0 {
		b, rest, err := recordset.Split(f.rest)
		if errors.Is(err, recordset.ErrPartial) {
			break
		}
		if err != nil {
			return false, err
		}
		if f.stable >= 0 && b.First >= f.stable {
			break
		}
		f.rest = rest
		// Which producers are aborting changes from batch to batch: an aborted
		// transaction begins at its first offset and ends with its marker.
		for len(f.aborted) > 0 && f.aborted[0].first <= b.Last {
			f.aborting[f.aborted[0].producer] = true
			f.aborted = f.aborted[1:]
		}
		switch {
		case b.Control():
			if b.Abort() {
				delete(f.aborting, b.ProducerID)
			}
		case b.Transactional() && f.aborting[b.ProducerID]:
		case b.Last < f.next:
		default:
			f.batch, f.records = b, b.Records(f.c.cfg.RecordMaxBytes, f.alloc)
			return true, nil
		}
		f.next = max(f.next, b.Last+1)
	}
	f.rest = nil
	return false, nil
}

// unreadable puts one record in the place of what is left of a batch that its
// producer wrote wrong: its offsets are accounted for, its bytes kept, and
// the partition goes on.
func (f *Fetcher) unreadable(err error) {
	at := max(f.next, f.batch.First)
	f.c.log.Error("kafka: a record batch is unreadable: its rest becomes one record",
		"topic", f.p.Topic, "partition", f.p.ID, "offset", at, "last", f.batch.Last, "error", err)
	f.closeBatch()
	if at > f.batch.Last {
		return
	}
	f.pending = &pending{
		Record: recordset.Record{
			Offset:  at,
			Time:    f.batch.Time(),
			Value:   f.batch.Raw,
			Headers: []recordset.Header{{Key: HeaderUnreadable, Value: []byte(err.Error())}},
		},
		end: f.batch.Last + 1,
	}
}

// answerOverhead is more than a response has beside its records, unless very
// many transactions were aborted.
const answerOverhead = 4 << 10

// fill asks the leader for what follows f.next. Nothing comes of it, and
// f.needs is set, when the response finds no room.
func (f *Fetcher) fill(ctx context.Context) error {
	if err := f.Reserve(ctx); err != nil {
		return err
	}
	cfg := &f.c.cfg
	limit, share := cfg.FetchMaxBytes, f.c.room.share(int64(cfg.FetchMaxBytes)+answerOverhead, 0)
	if f.c.room != nil {
		// What is held beyond the share is for a batch that is larger, which comes
		// whole; an answer of many is not to be as large as that.
		limit = int(max(1, min(int64(limit), min(f.answer.held, share)-answerOverhead)))
	}
	wait := int32(cfg.FetchMaxWait.Milliseconds())                                 //nolint:gosec // validated
	x := newFetchExchange(f.c.exchange(f.answer), f.p, f.next, wait, int32(limit)) //nolint:gosec // validated
	doing := fmt.Sprintf("fetching %s at offset %d", f.p, f.next)
	_, err := f.c.roundTrip(ctx, cfg.FetchMaxWait, x)
	if large := (*noRoomError)(nil); errors.As(err, &large) {
		f.forget()
		f.needs = large.bytes
		return nil
	}
	if err != nil {
		f.forget()
		return classify(ctx, doing, err)
	}
	if f.needs = f.answer.held; f.needs <= share {
		f.needs = 0
	}
	if err := f.accept(ctx, doing, x.answer); err != nil {
		f.forget()
		return err
	}
	return nil
}

// accept makes an answer the response that is read.
func (f *Fetcher) accept(ctx context.Context, doing string, a fetchAnswer) error {
	for _, code := range []int16{a.code, a.partCode} {
		switch {
		case kafkago.Error(code) == kafkago.OffsetOutOfRange:
			return f.outOfRange(ctx)
		case code != 0:
			return classify(ctx, doing, kafkago.Error(code))
		}
	}
	if len(a.records) == 0 {
		return nil
	}
	if a.topic != f.p.Topic || a.partition != f.p.ID {
		return fmt.Errorf("kafka: %s: the broker answered for %s/%d", doing, a.topic, a.partition)
	}
	slices.SortFunc(a.aborted, func(x, y abortedTxn) int { return cmp.Compare(x.first, y.first) })
	f.rest, f.stable, f.aborted = a.records, a.lastStable, a.aborted
	f.aborting = make(map[int64]bool)
	return nil
}

func (f *Fetcher) outOfRange(ctx context.Context) error {
	start, end, err := f.c.Bounds(ctx, f.p)
	if err != nil {
		return err
	}
	if start <= f.next && f.next <= end {
		return &stages.Transient{Err: fmt.Errorf("kafka: fetching %s: offset %d was out of range and is no more", f.p, f.next)}
	}
	return &OffsetRangeError{Partition: f.p, Offset: f.next, LogStart: start, LogEnd: end}
}

// rows builds the source's columns; keys and values are copied once, here.
type rows struct {
	n       int
	builder *array.RecordBuilder
	offset  *array.Int64Builder
	time    *array.TimestampBuilder
	key     *array.BinaryBuilder
	value   *valueColumn
	headers *array.ListBuilder
	header  *array.StructBuilder
	hkey    *array.StringBuilder
	hvalue  *array.BinaryBuilder
}

var (
	recordSchema = arrow.NewSchema(schemas.RecordFields(), nil)
	valueField   = recordSchema.FieldIndices(schemas.RecordValue)[0]
	// otherSchema is that of all columns but the values'.
	otherSchema = arrow.NewSchema(slices.Delete(schemas.RecordFields(), valueField, valueField+1), nil)
)

func newRows(alloc memory.Allocator) *rows {
	b := array.NewRecordBuilder(alloc, otherSchema)
	r := &rows{
		builder: b,
		offset:  b.Field(0).(*array.Int64Builder),
		time:    b.Field(1).(*array.TimestampBuilder),
		key:     b.Field(2).(*array.BinaryBuilder),
		value:   newValueColumn(alloc),
		headers: b.Field(3).(*array.ListBuilder),
	}
	r.header = r.headers.ValueBuilder().(*array.StructBuilder)
	r.hkey = r.header.FieldBuilder(0).(*array.StringBuilder)
	r.hvalue = r.header.FieldBuilder(1).(*array.BinaryBuilder)
	return r
}

func (r *rows) append(rec recordset.Record) {
	r.n++
	r.offset.Append(rec.Offset)
	r.time.Append(arrow.Timestamp(rec.Time))
	appendBytes(r.key, rec.Key)
	r.value.append(rec.Value)
	r.headers.Append(true)
	for _, h := range rec.Headers {
		r.header.Append(true)
		r.hkey.Append(h.Key)
		appendBytes(r.hvalue, h.Value)
	}
}

func appendBytes(b *array.BinaryBuilder, v []byte) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(v)
}

func (r *rows) record() arrow.Record {
	others := r.builder.NewRecord()
	defer others.Release()
	values := r.value.array()
	defer values.Release()
	return array.NewRecord(recordSchema, slices.Insert(slices.Clone(others.Columns()), valueField, values), int64(r.n))
}

func (r *rows) release() {
	r.builder.Release()
	r.value.release()
}
