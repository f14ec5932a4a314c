package recordset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/segmentio/kafka-go/compress"
)

// Positions in a batch. Everything from attributesAt on is under the CRC.
const (
	lengthAt      = 8
	magicAt       = 16
	crcAt         = 17
	attributesAt  = 21
	lastDeltaAt   = 23
	firstTimeAt   = 27
	maxTimeAt     = 35
	producerAt    = 43
	epochAt       = 51
	sequenceAt    = 53
	countAt       = 57
	headerLen     = 61
	lengthCovered = 12 // the length field counts what follows it
)

// Attribute bits.
const (
	codecBits       = 0x07
	logAppendBit    = 0x08
	transactionBit  = 0x10
	controlBit      = 0x20
	controlAbortion = 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrPartial says that the bytes end before the batch does. Brokers cut the
// last batch of a response wherever the byte limit falls.
var ErrPartial = errors.New("the record batch is cut off")

// ErrCorrupt says that a batch is not what its CRC says it was: damaged on the
// way or on the broker's disk. Fetching again may help.
var ErrCorrupt = errors.New("the record batch does not match its CRC")

// ErrOldFormat says that a batch is of the message format before Kafka 0.11.
var ErrOldFormat = errors.New("the records are in the message format from before Kafka 0.11; rewrite the topic, for example with a mirror")

// Batch is the head of one record batch and a view of its records.
type Batch struct {
	// First and Last are the offsets that the batch spans. Compaction removes
	// records, never the span.
	First, Last int64
	ProducerID  int64
	// Raw is the whole batch as it came, records compressed.
	Raw []byte

	attributes         int16
	firstTime, maxTime int64
	count              int32
}

// Split takes the first batch off a response's record set. The batch borrows
// from set.
func Split(set []byte) (b Batch, rest []byte, err error) {
	if len(set) < headerLen {
		return Batch{}, set, ErrPartial
	}
	if magic := set[magicAt]; magic < 2 {
		return Batch{}, set, ErrOldFormat
	} else if magic > 2 {
		return Batch{}, set, fmt.Errorf("record batch of magic %d is newer than this build reads", magic)
	}
	size := int64(int32(binary.BigEndian.Uint32(set[lengthAt:]))) + lengthCovered //nolint:gosec // a signed field
	if size < headerLen {
		return Batch{}, set, fmt.Errorf("%w: it claims %d bytes", ErrCorrupt, size)
	}
	if size > int64(len(set)) {
		return Batch{}, set, ErrPartial
	}
	raw := set[:size:size]
	if crc32.Checksum(raw[attributesAt:], castagnoli) != binary.BigEndian.Uint32(raw[crcAt:]) {
		return Batch{}, set, ErrCorrupt
	}
	first := readInt64(raw)
	lastDelta := readInt32(raw[lastDeltaAt:])
	if first < 0 || lastDelta < 0 || first > math.MaxInt64-int64(lastDelta)-1 {
		return Batch{}, set, fmt.Errorf("%w: it spans %d offsets from %d", ErrCorrupt, int64(lastDelta)+1, first)
	}
	return Batch{
		First:      first,
		Last:       first + int64(lastDelta),
		ProducerID: readInt64(raw[producerAt:]),
		Raw:        raw,
		attributes: int16(binary.BigEndian.Uint16(raw[attributesAt:])), //nolint:gosec // a signed field
		firstTime:  readInt64(raw[firstTimeAt:]),
		maxTime:    readInt64(raw[maxTimeAt:]),
		count:      readInt32(raw[countAt:]),
	}, set[size:], nil
}

// Transactional reports whether the records belong to a transaction.
func (b Batch) Transactional() bool { return b.attributes&transactionBit != 0 }

// Control reports whether the batch is a marker of the broker's and holds no
// data.
func (b Batch) Control() bool { return b.attributes&controlBit != 0 }

// Abort reports whether a control batch ends an aborted transaction.
func (b Batch) Abort() bool {
	if !b.Control() {
		return false
	}
	rs := b.Records(1<<10, memory.DefaultAllocator)
	defer rs.Close()
	r, err := rs.Next()
	// The key is a version and a type, both int16.
	return err == nil && len(r.Key) >= 4 && binary.BigEndian.Uint16(r.Key[2:]) == controlAbortion
}

// Time returns the latest timestamp in the batch, in milliseconds since 1970.
func (b Batch) Time() int64 { return b.maxTime }

// Compression returns the codec of the records.
func (b Batch) Compression() compress.Compression {
	return compress.Compression(b.attributes & codecBits)
}

func readInt64(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) } //nolint:gosec // a signed field

func readInt32(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) } //nolint:gosec // a signed field
