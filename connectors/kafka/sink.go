package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/itrstream/itrstream/connectors/kafka/txn"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Sink takes everything that comes of a batch.
type Sink interface {
	// Emit sends a batch's records and then moves its partition's position to
	// next. All of it is durable when Emit returns nil. After a
	// *RecordTooLargeError it may be called again, with other records; after any other
	// error the outcome is unknown until a new sink was made and the position
	// is read again.
	Emit(ctx context.Context, records []Record, next int64, metadata string) error
}

// Sink returns the sink that Config.Delivery asks for. With exactly_once it
// first fences whoever emitted for the partition before and settles what he
// left pending; read the position after it.
func (a *Assignment) Sink(ctx context.Context) (Sink, error) {
	if a.c.cfg.Delivery == AtLeastOnce {
		return atLeastOnce{a}, nil
	}
	// A worker that slept through the end of its generation would fence the
	// owner, who then has to start over. Nothing would go wrong; it would take time.
	if err := a.Alive(ctx); err != nil {
		return nil, err
	}
	s := &exactlyOnce{a: a}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	stages.Reach(ctx, stages.AfterInitProducer)
	if a.unsettled {
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// atLeastOnce commits what is already written: a crash in between repeats the
// batch, with the same result ids.
type atLeastOnce struct{ a *Assignment }

func (s atLeastOnce) Emit(ctx context.Context, records []Record, next int64, metadata string) error {
	if err := s.a.c.Produce(ctx, records); err != nil {
		return err
	}
	doing := "committing " + s.a.Partition.String()
	return s.a.c.retry(ctx, doing, func() error { return s.a.Commit(ctx, next, metadata) })
}

// exactlyOnce makes one transaction of each batch.
type exactlyOnce struct {
	a *Assignment
	p *txn.Producer
	// over is set while nobody knows how the last transaction ended.
	over bool
}

// abortWithin bounds how long a failed transaction may hold up its end. One
// that is not aborted ends by itself, or when the partition's next owner comes.
const abortWithin = 3 * time.Second

// TransactionalID returns the id under which a group emits for an input
// partition. A topic's name has no slash.
func TransactionalID(group string, p schemas.Partition) string {
	return fmt.Sprintf("%s/%s/%d", group, p.Topic, p.ID)
}

func (s *exactlyOnce) open(ctx context.Context) error {
	p, err := s.a.c.openProducer(ctx, TransactionalID(s.a.c.cfg.Group, s.a.Partition))
	if err != nil {
		return classify(ctx, "taking over "+s.a.Partition.String(), err)
	}
	s.p = p
	return nil
}

// openProducer takes a transactional id over.
func (c *Client) openProducer(ctx context.Context, id string) (*txn.Producer, error) {
	return txn.Open(ctx, txn.Settings{
		Send: func(ctx context.Context, req protocol.Message) (protocol.Message, error) {
			return c.roundTrip(ctx, 0, req)
		},
		ClientID: c.cfg.ClientID,
		Log:      c.log,
	}, id, c.cfg.TransactionTimeout)
}

// targets are the partitions that queues go to.
func targets(queues []*queue) []schemas.Partition {
	to := make([]schemas.Partition, len(queues))
	for i, q := range queues {
		to[i] = q.to
	}
	return to
}

// settle writes a marker into the group's offsets, which ends what brokers
// before Kafka 3.8 may keep pending for ever: a former owner's offset that came
// after his transaction had been aborted.
func (s *exactlyOnce) settle(ctx context.Context) error {
	err := s.p.Join(ctx, s.a.c.cfg.Group)
	if err == nil {
		err = s.p.End(ctx, false)
	}
	return classify(ctx, "settling what is pending for "+s.a.Partition.String(), err)
}

func (s *exactlyOnce) Emit(ctx context.Context, records []Record, next int64, metadata string) error {
	if s.over {
		return fmt.Errorf("kafka: %s: %w: an earlier one has failed, and the position must be read again", s.a.Partition, ErrAborted)
	}
	queues, err := s.a.c.route(ctx, records)
	if err != nil {
		return err
	}
	s.over = true
	if err := s.fill(ctx, queues, next, metadata); err != nil {
		if tooLarge(err) && s.open(ctx) == nil { // which has aborted it
			s.a.c.metrics.transactionAborted()
			s.over = false
			return err
		}
		s.a.c.abort(ctx, s.p)
		return err
	}
	stages.Reach(ctx, stages.BeforeEndTxn)
	if err := s.p.End(ctx, true); err != nil {
		s.a.c.metrics.transactionUnknown()
		return classify(ctx, "committing a transaction of "+s.a.Partition.String(), err)
	}
	s.a.c.metrics.transactionCommitted()
	stages.Reach(ctx, stages.AfterEndTxn)
	s.over = false
	return nil
}

// fill puts records and position into a transaction.
func (s *exactlyOnce) fill(ctx context.Context, queues []*queue, next int64, metadata string) error {
	err := s.p.Begin(ctx, targets(queues))
	if err == nil {
		err = s.p.Join(ctx, s.a.c.cfg.Group)
	}
	if err != nil {
		return classify(ctx, "beginning a transaction of "+s.a.Partition.String(), err)
	}
	if err := s.a.c.drainAll(ctx, queues, s.p); err != nil {
		return err
	}
	stages.Reach(ctx, stages.AfterProduce)
	// Not beside the batches: brokers check both with the coordinator, and
	// refuse one of two such questions at a time.
	err = s.p.Offsets(ctx, txn.Offsets{
		Group: s.a.c.cfg.Group, Generation: s.a.Generation, Member: s.a.Member,
		Partition: s.a.Partition, Next: next, Metadata: metadata,
	})
	return classify(ctx, fmt.Sprintf("committing offset %d of %s", next, s.a.Partition), err)
}

// abort tries to end a failed transaction at once, so that readers do not wait
// for it; ctx may have ended.
func (c *Client) abort(ctx context.Context, p *txn.Producer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	if err := p.End(ctx, false); err != nil {
		c.metrics.transactionUnknown()
		c.log.DebugContext(ctx, "kafka: a failed transaction is left to its timeout, or to whoever takes its id over",
			"transactional_id", p.ID(), "error", err)
		return
	}
	c.metrics.transactionAborted()
}
