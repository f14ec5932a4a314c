package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/addoffsetstotxn"
	"github.com/segmentio/kafka-go/protocol/addpartitionstotxn"
	"github.com/segmentio/kafka-go/protocol/endtxn"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/txnoffsetcommit"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Settings are what a producer needs from its surroundings.
type Settings struct {
	// Send sends a request to the broker that it asks for and returns the answer
	// within a deadline. Its errors mean that there is none; they are no
	// *stages.Transient.
	Send     func(ctx context.Context, req protocol.Message) (protocol.Message, error)
	ClientID string
	Log      *slog.Logger
}

// Producer holds one transactional id in one epoch. After an error nothing but
// End may be called, to abort; then open another. A nil Producer
// is one without transactions: its batches are plain.
type Producer struct {
	set        Settings
	id         string
	producerID int64
	epoch      int16
	brokers    map[coordinator]int32

	mu        sync.Mutex
	sequences map[schemas.Partition]int32
}

// pace is for coordinators that are at work: mostly that is over in
// milliseconds.
var pace = stages.Pace{First: 2 * time.Millisecond, Most: 500 * time.Millisecond, Silent: 5 * time.Second}

// Open takes a transactional id over. When it returns, no one else can end a
// transaction under this id, and what was pending is committed or aborted for good.
// The broker aborts a transaction that lasts longer than timeout.
//
// It may be called again when nobody knows whether it has worked.
func Open(ctx context.Context, set Settings, id string, timeout time.Duration) (*Producer, error) {
	p := &Producer{set: set, id: id, brokers: make(map[coordinator]int32), sequences: make(map[schemas.Partition]int32)}
	err := p.ask(ctx, "InitProducerId", &initproducerid.Request{
		TransactionalID:      id,
		TransactionTimeoutMs: int32(timeout.Milliseconds()), //nolint:gosec // validated
		ProducerID:           -1,
		ProducerEpoch:        -1,
	}, func(m protocol.Message) (int16, bool) {
		r, ok := m.(*initproducerid.Response)
		if !ok {
			return 0, false
		}
		p.producerID, p.epoch = r.ProducerID, r.ProducerEpoch
		return r.ErrorCode, true
	})
	switch {
	case errors.Is(err, kafkago.InvalidTransactionTimeout):
		return nil, fmt.Errorf("kafka.transaction_timeout: %s: the broker allows less: lower it, or raise the broker's transaction.max.timeout.ms: %w", timeout, err)
	case errors.Is(err, kafkago.TransactionalIDAuthorizationFailed):
		return nil, fmt.Errorf("give this user the ACL operations Write and Describe on transactional ids that begin with %q: %w",
			id[:strings.IndexByte(id, '/')+1], err)
	case err != nil:
		return nil, err
	}
	return p, nil
}

// ID returns the transactional id; empty without transactions.
func (p *Producer) ID() string {
	if p == nil {
		return ""
	}
	return p.id
}

// Begin says which partitions the transaction will write to.
func (p *Producer) Begin(ctx context.Context, to []schemas.Partition) error {
	if len(to) == 0 {
		return nil // it begins with the offsets
	}
	req := &addpartitionstotxn.Request{TransactionalID: p.id, ProducerID: p.producerID, ProducerEpoch: p.epoch}
	for _, at := range to {
		i := slices.IndexFunc(req.Topics, func(t addpartitionstotxn.RequestTopic) bool { return t.Name == at.Topic })
		if i < 0 {
			i = len(req.Topics)
			req.Topics = append(req.Topics, addpartitionstotxn.RequestTopic{Name: at.Topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, at.ID)
	}
	return p.ask(ctx, "AddPartitionsToTxn", req, func(m protocol.Message) (int16, bool) {
		r, ok := m.(*addpartitionstotxn.Response)
		if !ok {
			return 0, false
		}
		n, code := 0, int16(0)
		for _, t := range r.Results {
			for _, at := range t.Results {
				n++
				// The partitions beside a refused one are told that nothing was attempted.
				if code == 0 || kafkago.Error(code) == operationNotAttempted {
					code = at.ErrorCode
				}
			}
		}
		return code, n == len(to)
	})
}

const operationNotAttempted kafkago.Error = 55

// Options returns how the next batch for a partition is to be written. Batches
// for one partition go one after the other; one that was not acknowledged may be sent again.
func (p *Producer) Options(to schemas.Partition, codec compress.Compression) recordset.Options {
	o := recordset.Plain(codec)
	if p == nil {
		return o
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o.Transactional, o.ProducerID, o.Epoch, o.Sequence = true, p.producerID, p.epoch, p.sequences[to]
	return o
}

// Sent says that a batch of n records is acknowledged.
func (p *Producer) Sent(to schemas.Partition, n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sequences[to] = advance(p.sequences[to], n)
}

// advance counts as Kafka does: after the largest int32 comes 0.
func advance(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}

// Offsets is a position that a transaction commits.
type Offsets struct {
	Group      string
	Generation int32
	Member     string
	Partition  schemas.Partition
	Next       int64
	Metadata   string
}

// Offsets makes a position part of the transaction, after Join. The group
// refuses it from a generation or member that is over.
func (p *Producer) Offsets(ctx context.Context, o Offsets) error {
	return p.ask(ctx, "TxnOffsetCommit", &txnoffsetcommit.Request{
		TransactionalID: p.id, GroupID: o.Group, ProducerID: p.producerID, ProducerEpoch: p.epoch,
		GenerationID: o.Generation, MemberID: o.Member,
		Topics: []txnoffsetcommit.RequestTopic{{
			Name: o.Partition.Topic,
			Partitions: []txnoffsetcommit.RequestPartition{{
				Partition: o.Partition.ID, CommittedOffset: o.Next, CommittedLeaderEpoch: -1, CommittedMetadata: o.Metadata,
			}},
		}},
	}, func(m protocol.Message) (int16, bool) {
		r, ok := m.(*txnoffsetcommit.Response)
		if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			return 0, false
		}
		return r.Topics[0].Partitions[0].ErrorCode, true
	})
}

// Join says that the transaction will move a group's position. Call it before
// any batch is sent: brokers that check each batch with the coordinator refuse those that come
// while it notes something.
func (p *Producer) Join(ctx context.Context, group string) error {
	return p.ask(ctx, "AddOffsetsToTxn", &addoffsetstotxn.Request{
		TransactionalID: p.id, ProducerID: p.producerID, ProducerEpoch: p.epoch, GroupID: group,
	}, func(m protocol.Message) (int16, bool) {
		r, ok := m.(*addoffsetstotxn.Response)
		if !ok {
			return 0, false
		}
		return r.ErrorCode, true
	})
}

// End commits the transaction, or aborts it. Without an answer nobody knows
// how it ended, until the producer is opened again and the position is read.
func (p *Producer) End(ctx context.Context, commit bool) error {
	return p.ask(ctx, "EndTxn", &endtxn.Request{
		TransactionalID: p.id, ProducerID: p.producerID, ProducerEpoch: p.epoch, Committed: commit,
	}, func(m protocol.Message) (int16, bool) {
		r, ok := m.(*endtxn.Response)
		if !ok {
			return 0, false
		}
		return r.ErrorCode, true
	})
}

// ask sends a request to its coordinator, again as long as the broker answers
// that it should come later. It is not sent again without an answer: see the
// package's documentation.
func (p *Producer) ask(ctx context.Context, what string, req protocol.Message, code func(protocol.Message) (int16, bool)) error {
	of := coordinatorOf(req)
	return pace.Retry(ctx, p.set.Log, what+" for transactional id "+p.id, func() error {
		err := p.askOnce(ctx, of, what, req, code)
		var refused *Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refused) && later(refused.Code):
			return &stages.Transient{Err: refused}
		case errors.As(err, &refused):
			return refused
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s for transactional id %s: %w", what, p.id, err)
	})
}

func (p *Producer) askOnce(ctx context.Context, of coordinator, what string, req protocol.Message, code func(protocol.Message) (int16, bool)) error {
	id, err := p.broker(ctx, of)
	if err != nil {
		return err
	}
	m, err := p.set.Send(ctx, &toBroker{Message: req, id: id, clientID: p.set.ClientID})
	if err != nil {
		delete(p.brokers, of)
		return err
	}
	c, ok := code(m)
	if !ok {
		return errNotOurs
	}
	switch c := kafkago.Error(c); c {
	case 0:
		return nil
	case kafkago.NotCoordinatorForGroup, kafkago.GroupCoordinatorNotAvailable:
		delete(p.brokers, of)
		fallthrough
	default:
		return &Error{Request: what, ID: p.id, Code: c}
	}
}
