package redrive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// record is one record of the dead-letter topic; its bytes are borrowed.
type record struct {
	partition  schemas.Partition
	offset     int64
	at         time.Time
	key, value []byte // nil: none
	headers    []kafka.Header
}

// letter is a dead letter.
type letter struct {
	record
	original []kafka.Header // the input's own, less those of a former redrive

	reason, stage string
	source        schemas.Partition
	sourceOffset  int64

	attempts int  // how often it was sent back
	cut      bool // some of the original bytes are gone
}

// tail are the headers of a dead letter in their order.
var tail = [schemas.DeadLetterHeaders]string{
	schemas.HeaderReason, schemas.HeaderDetail, schemas.HeaderStage,
	schemas.HeaderSourceTopic, schemas.HeaderSourcePartition, schemas.HeaderSourceOffset,
}

// parse reads a dead letter; it is false for what is none. Only the end of the
// headers is believed: what stands before it is the producer's, whatever it is
// called.
func parse(r record) (letter, bool) {
	l := letter{record: r}
	headers := r.headers
	if n := len(headers); n > 0 && headers[n-1].Key == kafka.HeaderCut {
		l.cut, headers = true, headers[:n-1]
	}
	split := len(headers) - len(tail)
	if split < 0 {
		return l, false
	}
	for i, key := range tail {
		if headers[split+i].Key != key {
			return l, false
		}
	}
	ours, original := headers[split:], headers[:split]
	partition, err := strconv.ParseInt(string(ours[4].Value), 10, 32)
	if err != nil {
		return l, false
	}
	if l.sourceOffset, err = strconv.ParseInt(string(ours[5].Value), 10, 64); err != nil {
		return l, false
	}
	l.reason, l.stage = string(ours[0].Value), string(ours[2].Value)
	l.source = schemas.Partition{Topic: string(ours[3].Value), ID: int32(partition)}
	// The fetcher's own words for a record that it could not deliver whole.
	if len(original) == 1 && (original[0].Key == kafka.HeaderCut || original[0].Key == kafka.HeaderUnreadable) {
		l.cut = true
	}
	if n := len(original) - 2; n >= 0 && original[n].Key == schemas.HeaderRedriveAttempt && original[n+1].Key == schemas.HeaderRedriveOf {
		if attempts, err := strconv.ParseUint(string(original[n].Value), 10, 31); err == nil {
			l.attempts, original = int(attempts), original[:n]
		}
	}
	l.original = slices.Clip(original)
	return l, true
}

// mark names a dead letter by where its record came from and what is in it,
// so that a letter that was written twice, as at-least-once delivery may, is
// one.
type mark [16]byte

func (m mark) String() string { return hex.EncodeToString(m[:]) }

func (l *letter) mark() mark {
	h := sha256.New()
	var n [8]byte
	for _, v := range []uint64{uint64(len(l.source.Topic)), uint64(l.source.ID), uint64(l.sourceOffset)} { //nolint:gosec // bit patterns
		binary.BigEndian.PutUint64(n[:], v)
		h.Write(n[:])
	}
	h.Write([]byte(l.source.Topic))
	h.Write(l.value)
	return mark(h.Sum(nil)[:len(mark{})])
}

// parseMark reads a mark; it is false for what is none. A dead letter has
// more headers than one, so no producer can forge a mark.
func parseMark(r record) (mark, bool) {
	var m mark
	if len(r.headers) != 1 || r.headers[0].Key != schemas.HeaderRedriven || len(r.headers[0].Value) != hex.EncodedLen(len(m)) {
		return m, false
	}
	_, err := hex.Decode(m[:], r.headers[0].Value)
	return m, err == nil
}

// back is the record that goes to its source: key, value and headers as they
// came, and two headers that link the attempts.
func (l *letter) back(to schemas.Partition) kafka.Record {
	return kafka.Record{
		Topic: to.Topic, Partition: to.ID, Key: l.key, Value: l.value,
		Headers: append(l.original,
			kafka.Header{Key: schemas.HeaderRedriveAttempt, Value: strconv.AppendInt(nil, int64(l.attempts+1), 10)},
			kafka.Header{Key: schemas.HeaderRedriveOf, Value: []byte(l.place())}),
	}
}

// place is topic/partition/offset of the letter itself.
func (l *letter) place() string { return fmt.Sprintf("%s/%d", l.partition, l.offset) }

// sent is the mark of the letter as a record. Its key keeps any other record
// from compacting it away, and its value is for people.
func (l *letter) sent() kafka.Record {
	m := l.mark().String()
	return kafka.Record{
		Topic: l.partition.Topic, Partition: l.partition.ID,
		Key:     []byte(schemas.HeaderRedriven + ":" + m),
		Value:   fmt.Appendf(nil, `{"redriven":%q,"to":%q,"attempt":%d}`, l.place(), l.source.Topic, l.attempts+1),
		Headers: []kafka.Header{{Key: schemas.HeaderRedriven, Value: []byte(m)}},
	}
}

// own copies what the letter borrows, so that it outlives its batch.
func (l *letter) own() {
	l.key, l.value, l.headers = slices.Clone(l.key), slices.Clone(l.value), nil
	l.original = slices.Clone(l.original)
	for i, h := range l.original {
		l.original[i] = kafka.Header{Key: strings.Clone(h.Key), Value: slices.Clone(h.Value)}
	}
}

// size is about what the letter takes in memory.
func (l *letter) size() int {
	n := len(l.key) + len(l.value)
	for _, h := range l.original {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
