package txn

import (
	"errors"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/txnoffsetcommit"
)

// minOffsetsVersion is the first TxnOffsetCommit with a generation and a
// member (KIP-447, Kafka 2.5).
const minOffsetsVersion = 3

// ErrTooOld says that a broker would take offsets from anybody.
var ErrTooOld = errors.New("the broker is too old for kafka.delivery: exactly_once: Kafka 2.5 or later is needed")

// offsetsExchange is a TxnOffsetCommit that is only sent to brokers that read
// all of it.
type offsetsExchange struct {
	clientID string
	request  txnoffsetcommit.Request
	version  int16
}

// ApiKey makes the exchange a message of kafka-go's.
func (o *offsetsExchange) ApiKey() protocol.ApiKey { return protocol.TxnOffsetCommit } //nolint:revive // the interface's spelling

// Group routes the exchange to the group's coordinator.
func (o *offsetsExchange) Group() string { return o.request.GroupID }

// Required makes the transport hand over its connection, and tells the
// versions that were agreed with the broker.
func (o *offsetsExchange) Required(versions map[protocol.ApiKey]int16) bool {
	o.version = versions[protocol.TxnOffsetCommit]
	return true
}

// RawExchange writes the request and reads the answer. A connection carries
// one exchange at a time, so that any number tells its answer.
func (o *offsetsExchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if o.version < minOffsetsVersion {
		return nil, ErrTooOld
	}
	return protocol.RoundTrip(rw, o.version, 1, o.clientID, &o.request)
}
