package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/schemas"
)

// Topics are the pipeline's.
type Topics struct {
	Posts, Results, DeadLetters, Clusters string
	// Collected is read where it has a name.
	Collected string
}

// DefaultTopics are what the pipeline uses unless it is told otherwise.
var DefaultTopics = Topics{Posts: "posts", Results: "results", DeadLetters: "deadletter", Clusters: "clusters"}

// Oracle watches the topics of one Kafka from their beginning.
type Oracle struct {
	topics  Topics
	client  *kgo.Client // produces
	reader  *kgo.Client
	cluster string

	written []*Post // by number
	inputs  map[place]*Post
	seen    seen
}

// place is an offset of the posts topic.
type place struct {
	partition int32
	offset    int64
}

// seen is everything that came out so far.
type seen struct {
	outcomes map[string][]outcome // by result id
	order    map[lane][]string    // result ids in the order in which they came
	strays   []string             // records that cannot be an outcome
	events   map[string][]string  // types of lineage events by cluster

	collected collection
}

// outcome is one record that says what became of an input.
type outcome struct {
	kind   schemas.Outcome
	record *kgo.Record
	result *schemas.Result
}

// lane is a partition of an output topic.
type lane struct {
	topic     string
	partition int32
}

const (
	// metadataAge keeps a client from waiting long for topics that are made
	// or brokers that move.
	metadataAge = 50 * time.Millisecond
	// newsAge is how long partitions that were added may stay unknown.
	newsAge = time.Second
	// readBytes keeps the oracle small beside what it watches.
	readBytes = 4 << 20
	// numberHeader numbers what the oracle writes, so that it knows a record
	// again when a retry has put it into the log twice.
	numberHeader = "oracle-number"
)

// New connects to Kafka. The posts topic must exist, the others may come
// later.
func New(ctx context.Context, brokers []string, topics Topics) (*Oracle, error) {
	o := &Oracle{
		topics: topics, inputs: map[place]*Post{},
		seen: seen{outcomes: map[string][]outcome{}, order: map[lane][]string{}, events: map[string][]string{}, collected: newCollection()},
	}
	var err error
	o.client, err = kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ProducerBatchMaxBytes(16<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()),
		kgo.MetadataMinAge(metadataAge), kgo.MetadataMaxAge(newsAge), kgo.UnknownTopicRetries(50), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, err
	}
	read := []string{topics.Posts, topics.Results, topics.DeadLetters, topics.Clusters}
	if topics.Collected != "" {
		read = append(read, topics.Collected)
	}
	o.reader, err = kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(read...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(metadataAge), kgo.FetchMaxBytes(readBytes), kgo.FetchMaxPartitionBytes(readBytes),
		kgo.MetadataMinAge(metadataAge), kgo.MetadataMaxAge(newsAge), kgo.UnknownTopicRetries(-1),
	)
	if err != nil {
		o.client.Close()
		return nil, err
	}
	m, err := kadm.NewClient(o.client).BrokerMetadata(ctx)
	if err != nil {
		o.Close()
		return nil, err
	}
	o.cluster = m.Cluster
	return o, nil
}

// Close ends the connections.
func (o *Oracle) Close() {
	o.client.Close()
	o.reader.Close()
}

// Produce sends posts in order. A post of a failed call may or may not lie in
// the topic: what the oracle expects follows from what it reads there.
func (o *Oracle) Produce(ctx context.Context, posts ...*Post) error {
	records := make([]*kgo.Record, len(posts))
	for i, p := range posts {
		r := &kgo.Record{Topic: o.topics.Posts, Key: p.Key, Value: p.Value}
		for _, h := range p.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: numberHeader, Value: []byte(strconv.Itoa(len(o.written)))})
		o.written = append(o.written, p)
		records[i] = r
	}
	return o.client.ProduceSync(ctx, records...).FirstErr()
}

// Poll reads what has come since, and waits for it for a moment. It returns
// how many records there were.
func (o *Oracle) Poll(ctx context.Context) (int, error) {
	poll, cancel := context.WithTimeout(ctx, 4*metadataAge)
	defer cancel()
	fetched := o.reader.PollFetches(poll)
	n := 0
	var err error
	fetched.EachRecord(func(r *kgo.Record) {
		n++
		err = errors.Join(err, o.note(r))
	})
	return n, err
}

// Settle reads until every input in the posts topic has an outcome and
// nothing more comes, or ctx ends: then it says what is still missing. Nothing
// may write to the posts topic meanwhile.
func (o *Oracle) Settle(ctx context.Context) error {
	for calm := 0; calm < 8; calm++ {
		n, err := o.Poll(ctx)
		if err != nil {
			return err
		}
		missing := len(o.inputs) - len(o.seen.outcomes)
		if n > 0 || missing > 0 || len(o.inputs) == 0 {
			calm = -1
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d inputs have no outcome: %w", missing, len(o.inputs), context.Cause(ctx))
		}
	}
	return nil
}

// Inputs is how many records of the posts topic were read so far.
func (o *Oracle) Inputs() int { return len(o.inputs) }

// Outcomes is how many inputs have an outcome so far.
func (o *Oracle) Outcomes() int { return len(o.seen.outcomes) }

// Records are the outcomes of a post so far, as they lie in the topics.
func (o *Oracle) Records(p *Post) []*kgo.Record {
	var records []*kgo.Record
	for at, in := range o.inputs {
		if in != p {
			continue
		}
		for _, out := range o.seen.outcomes[o.resultID(at)] {
			records = append(records, out.record)
		}
	}
	return records
}

func (o *Oracle) note(r *kgo.Record) error {
	switch r.Topic {
	case o.topics.Posts:
		n, err := strconv.Atoi(header(r, numberHeader))
		if err != nil || n < 0 || n >= len(o.written) {
			return fmt.Errorf("oracle: offset %d of %s/%d is not the oracle's: use topics of its own", r.Offset, r.Topic, r.Partition)
		}
		o.inputs[place{r.Partition, r.Offset}] = o.written[n]
	case o.topics.Clusters:
		var e schemas.ClusterEvent
		if err := json.Unmarshal(r.Value, &e); err != nil {
			o.stray(r, err.Error())
			return nil
		}
		if e.Type == "born" || e.Type == "retired" {
			o.seen.events[e.Cluster] = append(o.seen.events[e.Cluster], e.Type)
		}
	case o.topics.Collected:
		o.noteCollected(r)
	default:
		o.noteOutcome(r)
	}
	return nil
}

func (o *Oracle) noteOutcome(r *kgo.Record) {
	out, id := outcome{record: r}, ""
	switch {
	case r.Topic == o.topics.DeadLetters:
		at, err := sourceOf(r)
		if err != nil {
			o.stray(r, err.Error())
			return
		}
		out.kind, id = schemas.OutcomeDeadLetter, o.resultID(at)
	case r.Value == nil:
		out.kind, id = schemas.OutcomeTombstone, header(r, schemas.HeaderResultID)
	default:
		out.kind, out.result = schemas.OutcomeResult, &schemas.Result{}
		if err := json.Unmarshal(r.Value, out.result); err != nil {
			o.stray(r, err.Error())
			return
		}
		id = o.resultID(place{out.result.Input.Partition, out.result.Input.Offset})
	}
	o.seen.outcomes[id] = append(o.seen.outcomes[id], out)
	l := lane{r.Topic, r.Partition}
	o.seen.order[l] = append(o.seen.order[l], id)
}

func (o *Oracle) stray(r *kgo.Record, why string) {
	o.seen.strays = append(o.seen.strays, fmt.Sprintf("%s/%d offset %d: %s", r.Topic, r.Partition, r.Offset, why))
}

// sourceOf reads where a dead letter comes from.
func sourceOf(r *kgo.Record) (place, error) {
	partition, err := strconv.ParseInt(header(r, schemas.HeaderSourcePartition), 10, 32)
	if err != nil {
		return place{}, err
	}
	offset, err := strconv.ParseInt(header(r, schemas.HeaderSourceOffset), 10, 64)
	return place{int32(partition), offset}, err
}

func (o *Oracle) resultID(at place) string {
	return schemas.ResultID(o.cluster, schemas.Partition{Topic: o.topics.Posts, ID: at.partition}, at.offset)
}

// header returns the last header of a name: what the pipeline adds stands
// behind the producer's.
func header(r *kgo.Record, key string) string {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}
