package recordset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Header is one header of a record. Value nil is a null value.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Key, Value and the headers' values are
// views that live until the next call of Records.Next; nil means null.
type Record struct {
	Offset  int64
	Time    int64 // milliseconds since 1970
	Key     []byte
	Value   []byte
	Headers []Header
	// Cut is 0, or the length of the whole record if that was over the limit:
	// then key and value hold only what fits, and the headers are gone.
	Cut int64
}

// ErrMalformed says that a batch passed its CRC and still makes no sense: its
// producer wrote it so, and fetching again cannot help.
var ErrMalformed = errors.New("malformed record batch")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Records walks the records of one batch in offset order.
type Records struct {
	batch   Batch
	src     source
	max     int64
	left    int32
	last    int64 // offset of the record before
	headers []Header
}

// source hands out consecutive bytes of the uncompressed records.
type source interface {
	io.ByteReader
	// take returns the next n bytes, valid until the next take.
	take(n int64) ([]byte, error)
	skip(n int64) error
	close()
}

// Records returns a walk over the batch's records that keeps about maxBytes
// of a record in memory, however long it is. What has to be unpacked as a whole
// lies in alloc's memory. Close it.
func (b Batch) Records(maxBytes int, alloc memory.Allocator) *Records {
	return &Records{
		batch: b,
		src:   newSource(b.Raw[headerLen:], b.Compression(), alloc),
		max:   int64(maxBytes),
		left:  b.count,
		last:  b.First - 1,
	}
}

// Close frees what the codec holds.
func (rs *Records) Close() { rs.src.close() }

// Next returns the next record, io.EOF after the last one, or ErrMalformed;
// after an error the walk is over.
func (rs *Records) Next() (Record, error) {
	if rs.left <= 0 {
		return Record{}, io.EOF
	}
	rs.left--
	length, err := binary.ReadVarint(rs.src)
	if err != nil {
		return Record{}, malformed("it ends %d records early: %v", rs.left+1, err)
	}
	if length < 0 {
		return Record{}, malformed("a record of %d bytes", length)
	}
	var r Record
	if length > rs.max {
		r, err = rs.cut(length)
	} else {
		r, err = rs.whole(length)
	}
	if err != nil {
		return Record{}, err
	}
	// A producer chooses these numbers freely. Offsets outside of the batch, or
	// out of order, would move our position to anywhere.
	if r.Offset <= rs.last || r.Offset > rs.batch.Last {
		return Record{}, malformed("offset %d after %d in a batch that ends at %d", r.Offset, rs.last, rs.batch.Last)
	}
	rs.last = r.Offset
	return r, nil
}

func (rs *Records) whole(length int64) (Record, error) {
	body, err := rs.src.take(length)
	if err != nil {
		return Record{}, malformed("a record of %d bytes is cut off: %v", length, err)
	}
	c := cursor{b: body}
	c.bytes(1) // attributes: none are defined
	r := rs.stamp(c.varint(), c.varint())
	r.Key = c.nullable()
	r.Value = c.nullable()
	n := c.varint()
	rs.headers = rs.headers[:0]
	for i := int64(0); i < n && !c.failed; i++ {
		key := c.nullable()
		rs.headers = append(rs.headers, Header{Key: string(key), Value: c.nullable()})
	}
	if c.failed || n < 0 {
		return Record{}, malformed("the fields of a record do not fit into its %d bytes", length)
	}
	r.Headers = rs.headers
	return r, nil
}

// cut reads a record that is over the limit without ever holding it whole.
func (rs *Records) cut(length int64) (Record, error) {
	rd := &remaining{src: rs.src, left: length}
	rd.skip(1)
	r := rs.stamp(rd.varint(), rd.varint())
	r.Cut = length
	r.Key = rd.nullable(rs.max / 2)
	r.Value = rd.nullable(rs.max - int64(len(r.Key)))
	rd.skip(rd.left)
	if rd.err != nil {
		return Record{}, malformed("a record of %d bytes: %v", length, rd.err)
	}
	return r, nil
}

func (rs *Records) stamp(timeDelta, offsetDelta int64) Record {
	r := Record{Time: rs.batch.firstTime + timeDelta, Offset: rs.batch.First + offsetDelta}
	if rs.batch.attributes&logAppendBit != 0 {
		r.Time = rs.batch.maxTime
	}
	return r
}

// cursor reads the fields of a record that lies in memory.
type cursor struct {
	b      []byte
	failed bool
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.failed = true
		c.b = nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n int64) []byte {
	if n > int64(len(c.b)) {
		c.failed = true
		c.b = nil
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) nullable() []byte {
	n := c.varint()
	if n < 0 {
		return nil
	}
	return c.bytes(n)
}

// remaining reads the fields of a record that passes by.
type remaining struct {
	src  source
	left int64
	err  error
}

// ReadByte makes a remaining an io.ByteReader for its varints.
func (r *remaining) ReadByte() (byte, error) {
	if r.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	r.left--
	return r.src.ReadByte()
}

func (r *remaining) varint() int64 {
	if r.err != nil {
		return 0
	}
	v, err := binary.ReadVarint(r)
	r.err = err
	return v
}

func (r *remaining) skip(n int64) {
	if r.err != nil {
		return
	}
	if n > r.left {
		r.err = io.ErrUnexpectedEOF
		return
	}
	r.left -= n
	r.err = r.src.skip(n)
}

// nullable returns the first limit bytes of a field and skips the rest. The
// key is copied, for the value is taken after it.
func (r *remaining) nullable(limit int64) []byte {
	n := r.varint()
	if r.err != nil || n < 0 {
		return nil
	}
	if n > r.left {
		r.err = io.ErrUnexpectedEOF
		return nil
	}
	keep := min(n, limit)
	v, err := r.src.take(keep)
	if err != nil {
		r.err = err
		return nil
	}
	out := append(make([]byte, 0, keep), v...)
	r.left -= keep
	r.skip(n - keep)
	return out
}
