package kafka

import (
	"context"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
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

// queue is what goes to one partition, in order.
type queue struct {
	to      schemas.Partition
	records []recordset.Record
	buf     []byte // what its last batch was written into
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

// retry calls do until it succeeds, fails for good, or ctx ends.
func (c *Client) retry(ctx context.Context, doing string, do func() error) error {
	return stages.Usual.Retry(ctx, c.log, doing, do)
}
