package txn

import (
	"context"
	"errors"
	"fmt"
	"io"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
)

// coordinator is whose answer is asked for: FindCoordinator's key.
type coordinator struct {
	key  string
	kind kafkago.CoordinatorKeyType
}

func coordinatorOf(req protocol.Message) coordinator {
	if m, ok := req.(protocol.TransactionalMessage); ok {
		return coordinator{m.Transaction(), kafkago.CoordinatorKeyTypeTransaction}
	}
	return coordinator{req.(protocol.GroupMessage).Group(), kafkago.CoordinatorKeyTypeConsumer}
}

// broker returns the id of a coordinator's broker. Kafka is asked once, and
// again when that broker gives no answer or is the coordinator no more: kafka-go by
// itself asks before each request, which makes nine requests of a transaction's five.
func (p *Producer) broker(ctx context.Context, of coordinator) (int32, error) {
	if id, ok := p.brokers[of]; ok {
		return id, nil
	}
	m, err := p.set.Send(ctx, &findcoordinator.Request{Key: of.key, KeyType: int8(of.kind)})
	if err != nil {
		return 0, err
	}
	r, ok := m.(*findcoordinator.Response)
	switch {
	case !ok:
		return 0, errNotOurs
	case r.ErrorCode != 0:
		return 0, &Error{Request: "FindCoordinator", ID: p.id, Code: kafkago.Error(r.ErrorCode)}
	}
	p.brokers[of] = r.NodeID
	return r.NodeID, nil
}

var errNotOurs = errors.New("the broker's answer is about something else")

// toBroker is a request for a broker that is known.
type toBroker struct {
	protocol.Message
	id       int32
	clientID string
	version  int16
}

// Broker routes the request.
func (b *toBroker) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	at, ok := cluster.Brokers[b.id]
	if !ok {
		return at, fmt.Errorf("broker %d, the coordinator: %w", b.id, kafkago.BrokerNotAvailable)
	}
	return at, nil
}

// Required makes the transport hand over its connection, and tells the
// versions that were agreed with the broker.
func (b *toBroker) Required(versions map[protocol.ApiKey]int16) bool {
	b.version = versions[b.ApiKey()]
	return true
}

// RawExchange writes the request and reads the answer. A connection carries
// one exchange at a time, so that any number tells its answer.
func (b *toBroker) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if b.ApiKey() == protocol.TxnOffsetCommit && b.version < minOffsetsVersion {
		return nil, ErrTooOld
	}
	return protocol.RoundTrip(rw, b.version, 1, b.clientID, b.Message)
}

// minOffsetsVersion is the first TxnOffsetCommit with a generation and a
// member (KIP-447, Kafka 2.5).
const minOffsetsVersion = 3

// ErrTooOld says that a broker would take offsets from anybody.
var ErrTooOld = errors.New("the broker is too old for kafka.delivery: exactly_once: Kafka 2.5 or later is needed")
