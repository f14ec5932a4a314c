package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/connectors/kafka/txn"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

const (
	// batchTarget is the uncompressed size at which a batch is closed: below
	// every broker's default limit of 1,048,588 bytes.
	batchTarget = 900 << 10
	// roundTarget is about how many bytes one round holds.
	roundTarget   = 8 * batchTarget
	produceMillis = 15_000 // how long a broker waits for its replicas
	acksAll       = -1
)

// drainAll sends queues round by round: a partition's next batch leaves only
// when its last one is acknowledged, so nothing overtakes. A failure ends p's transaction;
// where p is nil the other partitions are still of use.
func (c *Client) drainAll(ctx context.Context, queues []*queue, p *txn.Producer) error {
	var errs []error
	for len(queues) > 0 {
		r := &round{transactionalID: p.ID()}
		var all []*batch
		for i, size := 0, 0; i < len(queues) && size < roundTarget; i++ {
			b := c.nextBatch(ctx, queues[i], p)
			if all = append(all, b); b.err == nil {
				r.batches = append(r.batches, b)
			}
			size += len(b.set)
		}
		if len(r.batches) > 0 {
			c.sendRound(ctx, r)
		}
		for _, b := range all {
			switch {
			case b.sent:
				p.Sent(b.q.to, b.n)
				b.q.records = b.q.records[b.n:]
			case tooLarge(b.err) && b.n > 1:
				c.lower(b.q.to.Topic, batchSize(b.q.records[:b.n]))
			case p != nil:
				return b.err
			default:
				errs = append(errs, b.err)
				b.q.records = nil
			}
		}
		queues = slices.DeleteFunc(queues, func(q *queue) bool { return len(q.records) == 0 })
	}
	return errors.Join(errs...)
}

// nextBatch encodes what leaves a queue next.
func (c *Client) nextBatch(ctx context.Context, q *queue, p *txn.Producer) *batch {
	b := &batch{q: q, n: prefix(q.records, c.target(q.to.Topic))}
	// A record set is its batches behind their total length.
	if b.set, b.err = recordset.Encode(append(q.buf[:0], 0, 0, 0, 0), p.Options(q.to, c.codec), q.records[:b.n]); b.err != nil {
		b.err = fmt.Errorf("kafka: %s: %w", q.to, b.err)
		return b
	}
	q.buf = b.set
	binary.BigEndian.PutUint32(b.set, uint32(len(b.set)-4)) //nolint:gosec // bounded by the target, or by one record
	if b.n == 1 && len(b.set) > batchTarget {
		// A broker may close the connection on a request that is far too long,
		// which looks like an outage.
		if limit, err := c.TopicMaxMessageBytes(ctx, q.to.Topic); err == nil && len(b.set)-4 > limit {
			b.err = &RecordTooLargeError{Topic: q.to.Topic, Size: len(b.set) - 4, Limit: limit}
		}
	}
	return b
}

func tooLarge(err error) bool {
	var large *RecordTooLargeError
	return errors.As(err, &large)
}

// round is one batch for each of several partitions. They go out together, one
// request to each leader: that is quicker than one a partition, and in a transaction
// brokers refuse some of several requests at a time (AddPartitionsToTxnManager).
//
// It is a message of kafka-go's, which splits it by leader.
type round struct {
	transactionalID string
	batches         []*batch
}

// batch is one batch of a round, and what became of it.
type batch struct {
	q    *queue
	n    int    // of q's first records
	set  []byte // them, behind their length
	sent bool
	err  error
}

// ApiKey makes the round a message of kafka-go's.
func (r *round) ApiKey() protocol.ApiKey { return protocol.Produce } //nolint:revive // the interface's spelling

// Split makes one request for each leader. Batches without one are left out.
func (r *round) Split(cluster protocol.Cluster) ([]protocol.Message, protocol.Merger, error) {
	var messages []protocol.Message
	byLeader := make(map[int32]*rawproduce.Request)
	for _, b := range r.batches {
		p, ok := cluster.Topics[b.q.to.Topic].Partitions[b.q.to.ID]
		if _, alive := cluster.Brokers[p.Leader]; !ok || !alive {
			continue
		}
		req := byLeader[p.Leader]
		if req == nil {
			req = &rawproduce.Request{TransactionalID: r.transactionalID, Acks: acksAll, Timeout: produceMillis}
			byLeader[p.Leader] = req
			messages = append(messages, req)
		}
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != b.q.to.Topic {
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: b.q.to.Topic})
		}
		t := &req.Topics[len(req.Topics)-1]
		part := rawproduce.RequestPartition{Partition: b.q.to.ID}
		part.RecordSet.Reader = bytes.NewReader(b.set)
		t.Partitions = append(t.Partitions, part)
	}
	return messages, r, nil
}

// roundAnswer is what the leaders said.
type roundAnswer struct {
	partitions map[schemas.Partition]produce.ResponsePartition
	lost       map[schemas.Partition]error // no answer came
}

// ApiKey makes the answer a message of kafka-go's.
func (a *roundAnswer) ApiKey() protocol.ApiKey { return protocol.Produce } //nolint:revive // the interface's spelling

// Merge gathers what the leaders said.
func (r *round) Merge(messages []protocol.Message, results []any) (protocol.Message, error) {
	a := &roundAnswer{partitions: make(map[schemas.Partition]produce.ResponsePartition), lost: make(map[schemas.Partition]error)}
	for i, m := range messages {
		answer, err := protocol.Result(results[i])
		res, ok := answer.(*produce.Response)
		if err == nil && !ok {
			err = fmt.Errorf("the broker's answer is a %T", answer)
		}
		if err != nil {
			for _, t := range m.(*rawproduce.Request).Topics {
				for _, p := range t.Partitions {
					a.lost[schemas.Partition{Topic: t.Topic, ID: p.Partition}] = err
				}
			}
			continue
		}
		for _, t := range res.Topics {
			for _, p := range t.Partitions {
				a.partitions[schemas.Partition{Topic: t.Topic, ID: p.Partition}] = p
			}
		}
	}
	return a, nil
}

// sendRound sends a round's batches until each is acknowledged or has failed.
func (c *Client) sendRound(ctx context.Context, r *round) {
	waiting := r.batches
	doing := "producing to " + waiting[0].q.to.String()
	if n := len(waiting); n > 1 {
		doing = fmt.Sprintf("%s and %d more", doing, n-1)
	}
	err := c.retry(ctx, doing, func() error {
		m, err := c.roundTrip(ctx, produceMillis*time.Millisecond, &round{transactionalID: r.transactionalID, batches: waiting})
		if err != nil {
			return classify(ctx, doing, err)
		}
		left := waiting[:0:0]
		for _, b := range waiting {
			b.err = c.outcome(ctx, b, m.(*roundAnswer))
			b.sent = b.err == nil
			if stages.IsTransient(b.err) {
				left = append(left, b)
			} else if r.transactionalID != "" && !b.sent && !tooLarge(b.err) {
				return b.err // the transaction is over
			}
		}
		if waiting = left; len(left) > 0 {
			return left[0].err
		}
		return nil
	})
	for _, b := range waiting {
		if !b.sent && err != nil {
			b.err = err
		}
	}
}

// outcome is what an answer says about one batch.
func (c *Client) outcome(ctx context.Context, b *batch, a *roundAnswer) error {
	doing := "producing to " + b.q.to.String()
	if err := a.lost[b.q.to]; err != nil {
		return classify(ctx, doing, err)
	}
	p, ok := a.partitions[b.q.to]
	if !ok {
		return classify(ctx, doing, kafkago.LeaderNotAvailable)
	}
	switch code := kafkago.Error(p.ErrorCode); code {
	case 0, kafkago.DuplicateSequenceNumber: // the try before was not in vain
		return nil
	case kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge:
		limit, err := c.TopicMaxMessageBytes(ctx, b.q.to.Topic)
		if err != nil {
			limit = 0 // the refusal is what matters
		}
		return &RecordTooLargeError{Topic: b.q.to.Topic, Size: len(b.set) - 4, Limit: limit}
	default:
		if p.ErrorMessage != "" {
			return classify(ctx, doing, fmt.Errorf("%w: %s", code, p.ErrorMessage))
		}
		return classify(ctx, doing, code)
	}
}
