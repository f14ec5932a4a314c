package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/connectors/kafka/txn"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// ErrGenerationEnded says that the group has moved on: the partition may be
// somebody else's by now. The handler returns; nothing is to be repeated.
var ErrGenerationEnded = errors.New("the consumer group's generation has ended")

// ErrFenced says that a younger producer has taken the partition's
// transactional id over, or that the broker gave a transaction up that lasted too
// long. Nothing of this one will be seen. Take the partition again only after
// Alive has confirmed that it is still ours.
var ErrFenced = errors.New("the transactional id belongs to a younger producer")

// ErrAborted says that a transaction will not be committed, for a reason that
// the next one does not have. Take the partition again.
var ErrAborted = errors.New("the transaction is aborted")

// OffsetRangeError says that the log does not hold the offset that was asked
// for: retention deleted it, or the topic was recreated.
type OffsetRangeError struct {
	Partition schemas.Partition
	Offset    int64
	LogStart  int64
	LogEnd    int64
}

// Error says what the log holds instead.
func (e *OffsetRangeError) Error() string {
	return fmt.Sprintf("kafka: %s has no offset %d: its log is [%d,%d)", e.Partition, e.Offset, e.LogStart, e.LogEnd)
}

// RecordTooLargeError says that the broker will never take a record.
type RecordTooLargeError struct {
	Topic string
	Size  int // bytes, as a batch of its own
	Limit int // the topic's max.message.bytes; 0 when it could not be read
}

// Error says which limit to raise.
func (e *RecordTooLargeError) Error() string {
	if e.Limit == 0 {
		return fmt.Sprintf("kafka: topic %s refuses a record of %d bytes: raise its max.message.bytes", e.Topic, e.Size)
	}
	return fmt.Sprintf("kafka: topic %s takes %d bytes, a record has %d: raise its max.message.bytes", e.Topic, e.Limit, e.Size)
}

// What kafka-go's Temporary leaves out although it passes.
var passing = map[kafkago.Error]bool{
	kafkago.BrokerNotAvailable:  true,
	kafkago.ReplicaNotAvailable: true,
}

var generationOver = map[kafkago.Error]bool{
	kafkago.IllegalGeneration:   true,
	kafkago.UnknownMemberId:     true,
	kafkago.RebalanceInProgress: true,
	kafkago.FencedInstanceID:    true,
}

var fenced = map[kafkago.Error]bool{
	kafkago.ProducerFenced:       true,
	kafkago.InvalidProducerEpoch: true,
}

var aborted = map[kafkago.Error]bool{
	kafkago.InvalidTransactionState:  true, // the broker has ended it
	kafkago.InvalidProducerIDMapping: true, // the id has expired, for nobody has used it
	kafkago.TransactionalIDNotFound:  true,
	kafkago.UnknownProducerId:        true,
	kafkago.OutOfOrderSequenceNumber: true,
	txn.TransactionAbortable:         true,
}

// classify turns what kafka-go and the network say into one of our kinds of
// errors. ctx is the caller's: when it has ended, that is what is reported.
//
// Unknown errors are permanent: stopping with the reason is better than to retry in silence
// what cannot get better.
func classify(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	wrapped := fmt.Errorf("kafka: %s: %w", doing, err)
	var code kafkago.Error
	switch {
	case errors.As(err, &code):
		switch {
		case generationOver[code]:
			return fmt.Errorf("kafka: %s: %w: %w", doing, ErrGenerationEnded, err)
		case fenced[code]:
			return fmt.Errorf("kafka: %s: %w: %w", doing, ErrFenced, err)
		case aborted[code]:
			return fmt.Errorf("kafka: %s: %w: %w", doing, ErrAborted, err)
		case code.Temporary() || passing[code]:
			return &stages.Transient{Err: wrapped}
		case err == kafkago.SASLAuthenticationFailed: //nolint:errorlint // the bare code is what is meant
			// kafka-go's own guess for a connection that closed during the
			// handshake, which a broker that goes down does too; a refusal carries the broker's message.
			return &stages.Transient{Err: wrapped}
		}
		return wrapped
	case isNetwork(err):
		return &stages.Transient{Err: wrapped}
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition), errors.Is(err, protocol.ErrNoLeader):
		return &stages.Transient{Err: wrapped}
	case errors.Is(err, recordset.ErrCorrupt):
		return &stages.Transient{Err: wrapped}
	}
	return wrapped
}

func isNetwork(err error) bool {
	var netErr net.Error
	var op *net.OpError
	var errno syscall.Errno
	return errors.As(err, &netErr) && netErr.Timeout() ||
		errors.As(err, &op) ||
		errors.As(err, &errno) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
