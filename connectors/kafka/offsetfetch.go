package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/itrstream/itrstream/schemas"
)

const (
	// OffsetFetch v7 brought require_stable (KIP-447, Kafka 2.5), which kafka-go
	// does not write.
	offsetFetchVersion = 7
	// Brokers that have it are those that have TxnOffsetCommit v3; kafka-go
	// tells no version above its own.
	sameAgeVersion = 3
)

// offsetExchange reads one partition's committed offset, and does not take the
// former one while a transaction is about to commit the next.
type offsetExchange struct {
	exchange
	group     string
	partition schemas.Partition
	tooOld    bool
	answer    offsetAnswer
}

type offsetAnswer struct {
	offset   int64 // −1: none
	metadata string
	code     kafkago.Error
}

// ApiKey makes the exchange a message of kafka-go's.
func (o *offsetExchange) ApiKey() protocol.ApiKey { return protocol.OffsetFetch } //nolint:revive // the interface's spelling

// Group routes the exchange to the group's coordinator.
func (o *offsetExchange) Group() string { return o.group }

// Required makes the transport hand over its connection, and tells the
// versions that were agreed with the broker.
func (o *offsetExchange) Required(versions map[protocol.ApiKey]int16) bool {
	o.tooOld = versions[protocol.TxnOffsetCommit] < sameAgeVersion
	return true
}

// RawExchange writes the request and reads the answer.
func (o *offsetExchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if o.tooOld {
		return nil, errors.New("brokers of Kafka 2.5 or later are needed")
	}
	if _, err := rw.Write(o.request()); err != nil {
		return nil, err
	}
	body, err := o.read(rw)
	if err != nil {
		return nil, err
	}
	o.answer, err = parseOffsetFetch(body, o.partition)
	return o, err
}

func (o *offsetExchange) request() []byte {
	b := make([]byte, 4, 128)
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.OffsetFetch))
	b = binary.BigEndian.AppendUint16(b, offsetFetchVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(o.correlation))             //nolint:gosec // a signed field
	b = binary.BigEndian.AppendUint16(b, uint16(len(o.clientID)))           //nolint:gosec // a name
	b = append(append(b, o.clientID...), 0)                                 // no tags
	b = appendCompact(b, o.group)                                           //
	b = appendCompact(append(b, 2), o.partition.Topic)                      // lengths are one more: one topic
	b = binary.BigEndian.AppendUint32(append(b, 2), uint32(o.partition.ID)) //nolint:gosec // a signed field
	b = append(b, 0, 1, 0)                                                  // topic's tags, require stable, tags
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))                         //nolint:gosec // short
	return b
}

func appendCompact(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s)+1)), s...)
}

// parseOffsetFetch reads the body of a version 7 answer about one partition.
func parseOffsetFetch(b []byte, want schemas.Partition) (offsetAnswer, error) {
	d := wire{b: b}
	a, found := offsetAnswer{offset: -1}, false
	d.tags()
	d.int32() // throttle time: the broker delays by itself
	for topics := d.uvarint() - 1; topics > 0 && !d.failed; topics-- {
		topic := d.compact()
		for parts := d.uvarint() - 1; parts > 0 && !d.failed; parts-- {
			id := d.int32()
			offset := d.int64()
			d.int32() // leader epoch
			metadata := d.compact()
			code := d.int16()
			d.tags()
			if topic == want.Topic && id == want.ID {
				a, found = offsetAnswer{offset: max(offset, -1), metadata: metadata, code: kafkago.Error(code)}, true
			}
		}
		d.tags()
	}
	if code := d.int16(); code != 0 {
		a.code = kafkago.Error(code)
	}
	switch {
	case d.failed:
		return offsetAnswer{}, errors.New("the answer is malformed")
	case !found && a.code == 0:
		return offsetAnswer{}, fmt.Errorf("the broker left %s out", want)
	}
	return a, nil
}
