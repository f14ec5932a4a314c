package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/schemas"
)

// oracle produces posts and judges what comes out, through another Kafka
// client than the pipeline's.
type oracle struct {
	t       *testing.T
	client  *kgo.Client
	brokers []string
	topic   string
	id      string // the cluster's
	sent    []*sent
	next    func() []*kgo.Record // what emitted counts
	tally   int
}

func newOracle(t *testing.T, brokers []string, topic string) *oracle {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(16<<20),
		kgo.ProducerBatchCompression(kgo.GzipCompression()),
		kgo.MetadataMinAge(50*time.Millisecond),
		kgo.UnknownTopicRetries(50),
	)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &oracle{t: t, client: client, brokers: brokers, topic: topic}
}

// produce sends the posts in order and notes where they went.
func (o *oracle) produce(posts ...*sent) {
	o.t.Helper()
	var records []*kgo.Record
	for _, s := range posts {
		r := &kgo.Record{Topic: o.topic, Key: s.key, Value: s.value}
		for k, v := range s.headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
		records = append(records, r)
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	require.NoError(o.t, o.client.ProduceSync(ctx, records...).FirstErr())
	for i, s := range posts {
		s.partition, s.offset = records[i].Partition, records[i].Offset
	}
	o.sent = append(o.sent, posts...)
}

type place struct {
	partition int32
	offset    int64
}

// seen is everything that came out, by where its input came from.
type seen struct {
	results     map[place][]*kgo.Record
	tombstones  map[string][]*kgo.Record // by result id
	deadLetters map[place][]*kgo.Record
	clusters    []*kgo.Record
	order       map[int32]map[int32][]int64 // output partition → input partition → offsets in the order they came
}

func (o *oracle) read(ctx context.Context, isolation kgo.IsolationLevel, topics ...string) func() []*kgo.Record {
	c, err := kgo.NewClient(
		kgo.SeedBrokers(o.brokers...), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(isolation),
		kgo.FetchMaxWait(50*time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond),
	)
	require.NoError(o.t, err)
	o.t.Cleanup(c.Close)
	return func() []*kgo.Record {
		poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		return c.PollFetches(poll).Records()
	}
}

// wait reads until every input has an outcome, or the time is over; then it
// reads on for a moment, for outcomes that should not be there.
func (o *oracle) wait(limit time.Duration) *seen {
	o.t.Helper()
	s := &seen{
		results: map[place][]*kgo.Record{}, tombstones: map[string][]*kgo.Record{}, deadLetters: map[place][]*kgo.Record{},
		order: map[int32]map[int32][]int64{},
	}
	next := o.read(o.t.Context(), kgo.ReadCommitted(), "results", "deadletter", "clusters")
	deadline := time.Now().Add(limit)
	for calm := 0; calm < 5; {
		records := next()
		for _, r := range records {
			o.note(s, r)
		}
		switch {
		case len(s.results)+len(s.tombstones)+len(s.deadLetters) >= len(o.sent) && len(records) == 0:
			calm++
		case time.Now().After(deadline):
			require.Failf(o.t, "outcomes are missing", "%d of %d after %s", len(s.results)+len(s.tombstones)+len(s.deadLetters), len(o.sent), limit)
		}
	}
	return s
}

func (o *oracle) note(s *seen, r *kgo.Record) {
	switch {
	case r.Topic == "clusters":
		s.clusters = append(s.clusters, r)
	case r.Topic == "deadletter":
		partition, err := strconv.ParseInt(header(r, schemas.HeaderSourcePartition), 10, 32)
		require.NoError(o.t, err)
		offset, err := strconv.ParseInt(header(r, schemas.HeaderSourceOffset), 10, 64)
		require.NoError(o.t, err)
		at := place{int32(partition), offset}
		s.deadLetters[at] = append(s.deadLetters[at], r)
	case r.Value == nil:
		id := header(r, schemas.HeaderResultID)
		s.tombstones[id] = append(s.tombstones[id], r)
	default:
		var result schemas.Result
		require.NoError(o.t, json.Unmarshal(r.Value, &result), "a result is JSON")
		at := place{result.Input.Partition, result.Input.Offset}
		s.results[at] = append(s.results[at], r)
		if s.order[r.Partition] == nil {
			s.order[r.Partition] = map[int32][]int64{}
		}
		s.order[r.Partition][at.partition] = append(s.order[r.Partition][at.partition], at.offset)
	}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// judge holds what came out against what was sent. repeats allows an outcome
// to come again with the same result id, as at-least-once may after a crash.
func (o *oracle) judge(s *seen, repeats bool) {
	o.t.Helper()
	for _, in := range o.sent {
		at, id := place{in.partition, in.offset}, schemas.ResultID(o.clusterID(), schemas.Partition{Topic: o.topic, ID: in.partition}, in.offset)
		where := fmt.Sprintf("partition %d offset %d, post %s", in.partition, in.offset, in.post)
		outcomes := map[schemas.Outcome][]*kgo.Record{
			schemas.OutcomeResult: s.results[at], schemas.OutcomeTombstone: s.tombstones[id], schemas.OutcomeDeadLetter: s.deadLetters[at],
		}
		for kind, records := range outcomes {
			switch {
			case kind != in.outcome:
				require.Empty(o.t, records, "%s must be a %s alone, and is a %s", where, in.outcome, kind)
			case repeats:
				require.NotEmpty(o.t, records, "%s has no %s", where, kind)
			default:
				require.Len(o.t, records, 1, "%s must have one %s", where, kind)
			}
		}
		for _, r := range outcomes[in.outcome] {
			switch in.outcome {
			case schemas.OutcomeDeadLetter:
				o.judgeDeadLetter(in, r, where)
			case schemas.OutcomeTombstone:
				require.Equal(o.t, in.post, string(r.Key), where)
				require.Equal(o.t, string(in.key), header(r, schemas.HeaderInputKey), where)
			case schemas.OutcomeResult:
				o.judgeResult(in, r, id, where)
			}
		}
	}
	for out, byInput := range s.order {
		for in, offsets := range byInput {
			if !repeats {
				require.IsIncreasing(o.t, offsets, "results of input partition %d in output partition %d", in, out)
			}
		}
	}
}

func (o *oracle) clusterID() string {
	if o.id == "" {
		o.id = clusterID(o.t, o.client)
	}
	return o.id
}

func (o *oracle) judgeDeadLetter(in *sent, r *kgo.Record, where string) {
	o.t.Helper()
	require.Equal(o.t, in.value, r.Value, "%s: a dead letter has the original bytes", where)
	require.Equal(o.t, in.key, r.Key, where)
	for k, v := range in.headers {
		require.Equal(o.t, v, header(r, k), "%s: a dead letter keeps the original headers", where)
	}
	require.Equal(o.t, string(in.reason), header(r, schemas.HeaderReason), where)
	require.NotEmpty(o.t, header(r, schemas.HeaderStage), where)
	require.Equal(o.t, o.topic, header(r, schemas.HeaderSourceTopic), where)
}

func (o *oracle) judgeResult(in *sent, r *kgo.Record, id, where string) {
	o.t.Helper()
	var got schemas.Result
	require.NoError(o.t, json.Unmarshal(r.Value, &got))
	require.Equal(o.t, in.post, string(r.Key), where)
	require.Equal(o.t, in.post, got.PostID, where)
	require.Equal(o.t, id, got.ResultID, where)
	require.Equal(o.t, id, header(r, schemas.HeaderResultID), where)
	require.Equal(o.t, string(in.key), header(r, schemas.HeaderInputKey), where)
	require.Len(o.t, got.ConfigDigest, 64, where)
	require.Len(o.t, got.Model.Digest, 64, where)
	require.Len(o.t, got.Pairs, len(in.images)+in.failed, where)
	var labelled []int
	for _, p := range got.Pairs {
		if p.Failure != "" {
			require.Nil(o.t, p.Scores, where)
			continue
		}
		labelled = append(labelled, p.Index)
		require.NotNil(o.t, p.Scores, where)
		require.InDelta(o.t, 1, p.Scores.Neither+p.Scores.ImageAdds+p.Scores.TextRepresented+p.Scores.Both, 1e-4, where)
		require.Contains(o.t, schemas.RelationNames(), p.Relation, where)
		switch p.ClusterStatus {
		case schemas.ClusterBootstrapping:
			require.Nil(o.t, p.Cluster, where)
		case schemas.ClusterAssigned, schemas.ClusterReassigned:
			require.NotNil(o.t, p.Cluster, where)
			require.NotNil(o.t, p.Distance, where)
		default:
			require.Failf(o.t, "no cluster status", where)
		}
	}
	require.Equal(o.t, in.images, labelled, where)
	if len(in.images) == 0 {
		require.Equal(o.t, schemas.StatusNoImage, got.Status, where)
	} else {
		require.Equal(o.t, schemas.StatusLabelled, got.Status, where)
		require.Contains(o.t, schemas.RelationNames(), got.Relation, where)
	}
}

// folded is what the centroids must hold: how many pairs, and the sum of
// their marks.
func (o *oracle) folded() (count, checksum uint64) {
	for _, in := range o.sent {
		if in.outcome != schemas.OutcomeResult {
			continue
		}
		for _, i := range in.images {
			count++
			checksum += schemas.PairChecksum(schemas.Partition{Topic: o.topic, ID: in.partition}, in.offset, int32(i))
		}
	}
	return count, checksum
}

// emitted is how many committed records of the results and dead-letter topics
// have come by now. Offsets tell less: transactions leave markers between them.
func (o *oracle) emitted() int {
	if o.next == nil {
		o.next = o.read(o.t.Context(), kgo.ReadCommitted(), "results", "deadletter")
	}
	o.tally += len(o.next())
	return o.tally
}

// count is how many records the results and dead-letter topics show.
func (o *oracle) count(isolation kgo.IsolationLevel) int {
	next := o.read(o.t.Context(), isolation, "results", "deadletter")
	n := 0
	for calm := 0; calm < 5; calm++ {
		if got := len(next()); got > 0 {
			n += got
			calm = 0
		}
	}
	return n
}
