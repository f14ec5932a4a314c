package recordset

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/segmentio/kafka-go/compress"
)

// Options say how a batch is written.
type Options struct {
	Compression compress.Compression
	// Transactional, with the producer's id, epoch and the sequence of the
	// first record, makes the batch part of a transaction. Plain makes the
	// options of a batch without.
	Transactional bool
	ProducerID    int64
	Epoch         int16
	Sequence      int32
}

// Plain are the options of a batch that no producer id guards.
func Plain(codec compress.Compression) Options {
	return Options{Compression: codec, ProducerID: -1, Epoch: -1, Sequence: -1}
}

// Overhead is what a batch adds to its records' sizes.
const Overhead = headerLen

// Size returns an upper bound of r's length in an uncompressed batch.
func Size(r Record) int {
	n := 4*binary.MaxVarintLen32 + 2*binary.MaxVarintLen64 + 1 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 2*binary.MaxVarintLen32 + len(h.Key) + len(h.Value)
	}
	return n
}

// Encode appends one batch of records to dst. Offsets are the broker's to
// give: those of records are ignored.
func Encode(dst []byte, o Options, records []Record) ([]byte, error) {
	if len(records) == 0 || len(records) > math.MaxInt32 {
		return dst, fmt.Errorf("a batch of %d records", len(records))
	}
	start := len(dst)
	dst = append(dst, make([]byte, headerLen)...)
	first, latest := records[0].Time, records[0].Time
	for _, r := range records {
		latest = max(latest, r.Time)
	}
	var err error
	if o.Compression == compress.None {
		for i, r := range records {
			dst = appendRecord(dst, first, i, r)
		}
	} else {
		out := &appender{b: dst}
		err = compressRecords(o.Compression.Codec().NewWriter(out), first, records)
		dst = out.b
	}
	if err != nil {
		return dst[:start], fmt.Errorf("compressing a record batch: %w", err)
	}

	b := dst[start:]
	attributes := uint16(o.Compression) & codecBits //nolint:gosec // a codec's number
	if o.Transactional {
		attributes |= transactionBit
	}
	count := uint32(len(records))                                          //nolint:gosec // checked above
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-lengthCovered)) //nolint:gosec // bounded by the request's size
	binary.BigEndian.PutUint32(b[lengthAt+4:], math.MaxUint32)             // leader epoch: unknown
	b[magicAt] = 2
	binary.BigEndian.PutUint16(b[attributesAt:], attributes)
	binary.BigEndian.PutUint32(b[lastDeltaAt:], count-1)
	binary.BigEndian.PutUint64(b[firstTimeAt:], uint64(first))       //nolint:gosec // a signed field
	binary.BigEndian.PutUint64(b[maxTimeAt:], uint64(latest))        //nolint:gosec // a signed field
	binary.BigEndian.PutUint64(b[producerAt:], uint64(o.ProducerID)) //nolint:gosec // a signed field
	binary.BigEndian.PutUint16(b[epochAt:], uint16(o.Epoch))         //nolint:gosec // a signed field
	binary.BigEndian.PutUint32(b[sequenceAt:], uint32(o.Sequence))   //nolint:gosec // a signed field
	binary.BigEndian.PutUint32(b[countAt:], count)
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], castagnoli))
	return dst, nil
}

func compressRecords(w io.WriteCloser, first int64, records []Record) error {
	var scratch []byte
	for i, r := range records {
		scratch = appendRecord(scratch[:0], first, i, r)
		if _, err := w.Write(scratch); err != nil {
			_ = w.Close()
			return err
		}
	}
	return w.Close()
}

func appendRecord(dst []byte, first int64, i int, r Record) []byte {
	timeDelta := r.Time - first
	body := 1 + varintLen(timeDelta) + varintLen(int64(i)) + nullableLen(r.Key) + nullableLen(r.Value) +
		varintLen(int64(len(r.Headers)))
	for _, h := range r.Headers {
		body += varintLen(int64(len(h.Key))) + len(h.Key) + nullableLen(h.Value)
	}
	dst = binary.AppendVarint(dst, int64(body))
	dst = append(dst, 0) // attributes: none are defined
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, int64(i))
	dst = appendNullable(dst, r.Key)
	dst = appendNullable(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for _, h := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendNullable(dst, h.Value)
	}
	return dst
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func nullableLen(b []byte) int {
	if b == nil {
		return varintLen(-1)
	}
	return varintLen(int64(len(b))) + len(b)
}

func varintLen(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 { //nolint:gosec // zigzag
		n++
	}
	return n
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
