package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/connectors/kafka/txn"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// ByKey as a Record's partition lets its key choose.
const ByKey int32 = -1

// Record is one record to produce. Key nil is no key, Value nil a tombstone.
type Record struct {
	Topic     string
	Partition int32 // ByKey: as Java's default partitioner does; records without a key take turns
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time // zero: now
}

// Header is one header of a record.
type Header = recordset.Header

const (
	// batchTarget is the uncompressed size at which a batch is closed: below
	// every broker's default limit of 1,048,588 bytes.
	batchTarget = 900 << 10
	// lanes is how many partitions are written to at a time, and so, with
	// batchTarget, what a call holds in memory.
	lanes         = 8
	produceMillis = 15_000 // how long a broker waits for its replicas
	acksAll       = -1
)

// Produce sends records and returns when all in-sync replicas have them.
// Order is kept in each topic-partition. Errors that may pass are retried
// until ctx ends; then some of the records may have been written, and a
// retried batch may be there twice. A record that its topic will never take
// is a *RecordTooLargeError; the other records have then been tried.
func (c *Client) Produce(ctx context.Context, records []Record) error {
	queues, err := c.route(ctx, records)
	if err != nil {
		return err
	}
	return c.drainAll(ctx, queues, nil)
}

// drainAll sends queues beside each other, in p's transaction unless it is
// nil. One that fails ends a transaction, so that the others stop at once; without
// one they are still of use.
func (c *Client) drainAll(ctx context.Context, queues []*queue, p *txn.Producer) error {
	g, beside := errgroup.WithContext(ctx)
	if p == nil {
		beside = ctx
	}
	g.SetLimit(lanes)
	errs := make([]error, len(queues))
	for i, q := range queues {
		g.Go(func() error {
			errs[i] = c.drain(beside, q, p)
			return errs[i]
		})
	}
	if first := g.Wait(); p != nil {
		return first
	}
	return errors.Join(errs...)
}

// queue is what goes to one partition, in order.
type queue struct {
	to      schemas.Partition
	records []recordset.Record
}

func (c *Client) route(ctx context.Context, records []Record) ([]*queue, error) {
	var queues []*queue
	byPartition := make(map[schemas.Partition]*queue)
	partitions := make(map[string][]int)
	now := c.now()
	for _, r := range records {
		to := schemas.Partition{Topic: r.Topic, ID: r.Partition}
		if r.Partition == ByKey {
			ids, ok := partitions[r.Topic]
			if !ok {
				err := c.retry(ctx, "producing to topic "+r.Topic, func() error {
					n, err := c.partitions(ctx, r.Topic)
					for i := range n {
						ids = append(ids, i)
					}
					return err
				})
				if err != nil {
					return nil, err
				}
				partitions[r.Topic] = ids
			}
			to.ID = c.choose(r.Key, ids)
		}
		q := byPartition[to]
		if q == nil {
			q = &queue{to: to}
			byPartition[to] = q
			queues = append(queues, q)
		}
		at := r.Time
		if at.IsZero() {
			at = now
		}
		q.records = append(q.records, recordset.Record{Time: at.UnixMilli(), Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	return queues, nil
}

// choose gives a key the partition that Java's default partitioner gives it.
func (c *Client) choose(key []byte, ids []int) int32 {
	if key == nil {
		return int32(c.turn.Add(1) % uint32(len(ids))) //nolint:gosec // Kafka counts partitions in an int32
	}
	return int32(kafkago.Murmur2Balancer{}.Balance(kafkago.Message{Key: key}, ids...)) //nolint:gosec // as above
}

// drain sends a queue batch by batch: the next one leaves only when the last
// one is acknowledged, so nothing overtakes.
func (c *Client) drain(ctx context.Context, q *queue, p *txn.Producer) error {
	var set []byte
	for len(q.records) > 0 {
		n := prefix(q.records, c.target(q.to.Topic))
		var err error
		// A record set is its batches behind their total length.
		if set, err = recordset.Encode(append(set[:0], 0, 0, 0, 0), p.Options(q.to, c.codec), q.records[:n]); err != nil {
			return fmt.Errorf("kafka: %s: %w", q.to, err)
		}
		binary.BigEndian.PutUint32(set, uint32(len(set)-4)) //nolint:gosec // bounded by the target, or by one record
		err = c.send(ctx, q.to, set, n, p.ID())
		var large *RecordTooLargeError
		switch {
		case errors.As(err, &large) && n > 1:
			c.lower(q.to.Topic, batchSize(q.records[:n]))
		case err != nil:
			return err
		default:
			p.Sent(q.to, n)
			q.records = q.records[n:]
		}
	}
	return nil
}

// prefix returns how many records make a batch of at most target bytes, at
// least one.
func prefix(records []recordset.Record, target int) int {
	size := recordset.Overhead
	for i, r := range records {
		size += recordset.Size(r)
		if size > target && i > 0 {
			return i
		}
	}
	return len(records)
}

func batchSize(records []recordset.Record) int {
	size := recordset.Overhead
	for _, r := range records {
		size += recordset.Size(r)
	}
	return size
}

func (c *Client) target(topic string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.limits[topic]; ok {
		return n
	}
	return batchTarget
}

// lower remembers that a topic refused a batch of size bytes. Asking for its
// configuration instead would need one more permission.
func (c *Client) lower(topic string, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.limits[topic]; !ok || size/2 < n {
		c.limits[topic] = size / 2
	}
}

// send produces one encoded batch of n records.
func (c *Client) send(ctx context.Context, to schemas.Partition, set []byte, n int, transactionalID string) error {
	doing := "producing to " + to.String()
	if n == 1 && len(set) > batchTarget {
		// A broker may close the connection on a request that is far too long,
		// which looks like an outage.
		if limit, err := c.TopicMaxMessageBytes(ctx, to.Topic); err == nil && len(set)-4 > limit {
			return &RecordTooLargeError{Topic: to.Topic, Size: len(set) - 4, Limit: limit}
		}
	}
	return c.retry(ctx, doing, func() error {
		req := &rawproduce.Request{
			TransactionalID: transactionalID,
			Acks:            acksAll,
			Timeout:         produceMillis,
			Topics: []rawproduce.RequestTopic{{
				Topic:      to.Topic,
				Partitions: []rawproduce.RequestPartition{{Partition: to.ID}},
			}},
		}
		req.Topics[0].Partitions[0].RecordSet.Reader = bytes.NewReader(set)
		m, err := c.roundTrip(ctx, produceMillis*time.Millisecond, req)
		if err != nil {
			return classify(ctx, doing, err)
		}
		res, ok := m.(*produce.Response)
		if !ok || len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
			return fmt.Errorf("kafka: %s: the broker's answer is about something else", doing)
		}
		p := res.Topics[0].Partitions[0]
		switch code := kafkago.Error(p.ErrorCode); code {
		case 0:
			return nil
		case kafkago.DuplicateSequenceNumber:
			return nil // the try before was not in vain
		case kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge:
			limit, err := c.TopicMaxMessageBytes(ctx, to.Topic)
			if err != nil {
				limit = 0 // the refusal is what matters
			}
			return &RecordTooLargeError{Topic: to.Topic, Size: len(set) - 4, Limit: limit}
		default:
			if p.ErrorMessage != "" {
				return classify(ctx, doing, fmt.Errorf("%w: %s", code, p.ErrorMessage))
			}
			return classify(ctx, doing, code)
		}
	})
}

// retry calls do until it succeeds, fails for good, or ctx ends.
func (c *Client) retry(ctx context.Context, doing string, do func() error) error {
	return stages.Usual.Retry(ctx, c.log, doing, do)
}
