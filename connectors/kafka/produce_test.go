package kafka_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// noise returns n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// read returns all of a partition's values up to its end.
func read(tb testing.TB, c *kafka.Client, p schemas.Partition) []fetched {
	tb.Helper()
	_, end, err := c.Bounds(context.Background(), p)
	require.NoError(tb, err)
	return readTo(tb, c.NewFetcher(p, memory.NewGoAllocator(), kafka.Limits{MaxRows: 1000, MaxBytes: 8 << 20}), 0, end)
}

// checkLargeRecords sends small and large records to a topic with a limit: all that
// fit arrive in order; one that does not is an error with figures, and the other partitions get theirs.
func checkLargeRecords(t *testing.T, addrs []string) {
	t.Helper()
	const limit = 300_000
	c := dial(t, config(addrs))
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{
		Name: "limited", Partitions: 2, Configs: [][2]string{{"max.message.bytes", strconv.Itoa(limit)}},
	}, {
		Name: "roomy", Partitions: 1, Configs: [][2]string{{"max.message.bytes", "8000000"}},
	}}, true)
	require.NoError(t, err)
	n, err := c.TopicMaxMessageBytes(t.Context(), "limited")
	require.NoError(t, err)
	require.Equal(t, limit, n)

	var records []kafka.Record
	want := make(map[string][]string)
	add := func(topic string, value []byte) {
		records = append(records, kafka.Record{Topic: topic, Value: value})
		want[topic] = append(want[topic], string(value))
	}
	for i := range 40 {
		add("limited", noise(i*1000))
		add("limited", noise(100))
	}
	add("limited", noise(limit-2000))
	add("limited", bytes.Repeat([]byte("compresses well "), limit/4)) // over the limit only before compression
	add("roomy", noise(5_000_000))
	add("roomy", noise(10))
	require.NoError(t, c.Produce(t.Context(), records))
	for topic, values := range want {
		got := read(t, c, schemas.Partition{Topic: topic})
		require.Len(t, got, len(values))
		for i := range got {
			require.True(t, got[i].value == values[i], "%s: record %d", topic, i) // megabytes make no readable message
		}
	}

	err = c.Produce(t.Context(), []kafka.Record{
		{Topic: "limited", Partition: 1, Value: []byte("before")},
		{Topic: "limited", Partition: 1, Value: noise(limit + 1)},
		{Topic: "roomy", Value: []byte("elsewhere")},
	})
	var large *kafka.RecordTooLargeError
	require.ErrorAs(t, err, &large)
	require.False(t, transient(err))
	require.Equal(t, "limited", large.Topic)
	require.Equal(t, limit, large.Limit)
	require.Greater(t, large.Size, limit)
	require.Equal(t, []string{"before"}, values(read(t, c, schemas.Partition{Topic: "limited", ID: 1})))
	require.Equal(t, "elsewhere", read(t, c, schemas.Partition{Topic: "roomy"})[2].value)
	// Megabytes over every limit: brokers may just close the connection.
	err = c.Produce(t.Context(), []kafka.Record{{Topic: "limited", Value: noise(40 << 20)}})
	require.ErrorAs(t, err, &large)
}

func TestLargeRecords(t *testing.T) {
	t.Parallel()
	checkLargeRecords(t, broker(t))
}

// A key goes to the partition where Java's client, and franz-go's port of its
// partitioner, would send it; records without a key go round.
func TestPartitionByKey(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.SeedTopics(7, "ours", "theirs"))
	c := dial(t, config(cluster.ListenAddrs()))
	w := other(t, cluster.ListenAddrs(), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	theirs := make(map[string]int32)
	var records []kafka.Record
	for i := range 200 {
		key := strings.Repeat("k", i%9) + strconv.Itoa(i)
		r, err := w.ProduceSync(t.Context(), &kgo.Record{Topic: "theirs", Key: []byte(key)}).First()
		require.NoError(t, err)
		theirs[key] = r.Partition
		records = append(records,
			kafka.Record{Topic: "ours", Partition: kafka.ByKey, Key: []byte(key), Value: []byte("v")},
			kafka.Record{Topic: "ours", Partition: kafka.ByKey, Value: []byte("no key")})
	}
	require.NoError(t, c.Produce(t.Context(), records))
	keys, turns := 0, 0
	for p := range int32(7) {
		n := 0
		for _, r := range read(t, c, schemas.Partition{Topic: "ours", ID: p}) {
			if r.key == "<null>" {
				n++
				continue
			}
			require.Equal(t, theirs[r.key], p, "key %q", r.key)
			keys++
		}
		require.InDelta(t, 200/7, n, 1)
		turns += n
	}
	require.Equal(t, 200, keys)
	require.Equal(t, 200, turns)
}

// faults makes the broker answer the first n produce requests with code.
func faults(cluster *kfake.Cluster, n int32, code *kerr.Error) *atomic.Int32 {
	var seen atomic.Int32
	cluster.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if seen.Add(1) > n {
			return nil, nil, false
		}
		req := kreq.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	return &seen
}

// What may pass is tried again, in order; what will not pass is an error at
// once; and waiting ends with the context.
func TestProduceErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  *kerr.Error
		times int32
		want  string // empty: success
		tries int32
	}{
		{kerr.NotLeaderForPartition, 3, "", 4},
		{kerr.NotEnoughReplicas, 2, "", 3},
		{kerr.RequestTimedOut, 1, "", 2},
		{kerr.TopicAuthorizationFailed, 1 << 20, "Topic Authorization Failed", 1},
		{kerr.InvalidTimestamp, 1 << 20, "Invalid Timestamp", 1},
		{kerr.LeaderNotAvailable, 1 << 20, "why", 0},
	} {
		t.Run(c.code.Message, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			client := dial(t, config(cluster.ListenAddrs()))
			seen := faults(cluster, c.times, c.code)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if c.want == "why" {
				time.AfterFunc(300*time.Millisecond, func() { cancel(errors.New("why")) })
			}
			err := client.Produce(ctx, []kafka.Record{{Topic: "posts", Value: []byte("v")}})
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, []string{"v"}, values(read(t, client, posts)))
			} else {
				require.ErrorContains(t, err, c.want)
				require.False(t, transient(err))
			}
			if c.tries > 0 {
				require.Equal(t, c.tries, seen.Load())
			}
		})
	}
}

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	c := dial(t, config(broker(t)))
	specs := []kafka.TopicSpec{
		{Name: "a", Partitions: 3, Configs: [][2]string{{"cleanup.policy", "compact"}}},
		{Name: "b", Partitions: 1},
	}
	_, err := c.EnsureTopics(t.Context(), specs, false)
	require.EqualError(t, err, "kafka: missing topics: a, b: create them, or allow their creation")
	states, err := c.EnsureTopics(t.Context(), specs[:1], true)
	require.NoError(t, err)
	require.Equal(t, []kafka.TopicState{{Name: "a", Partitions: 3, Created: true}}, states)
	specs[0].Partitions = 99 // what is there stays as it is
	states, err = c.EnsureTopics(t.Context(), specs, true)
	require.NoError(t, err)
	require.Equal(t, []kafka.TopicState{{Name: "a", Partitions: 3}, {Name: "b", Partitions: 1, Created: true}}, states)
	_, err = c.EnsureTopics(t.Context(), specs, false)
	require.NoError(t, err)
	id, err := c.ClusterID(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, id)
	n, err := c.TopicMaxMessageBytes(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, 16<<20, n, "the broker's default")
}

// BenchmarkFetch and BenchmarkProduce tell what one partition carries.
func BenchmarkFetch(b *testing.B) {
	c := dial(b, config(broker(b)))
	_, err := c.EnsureTopics(b.Context(), []kafka.TopicSpec{{Name: "posts", Partitions: 1}}, true)
	require.NoError(b, err)
	for _, size := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			records := make([]kafka.Record, 64_000_000/size)
			for i := range records {
				records[i] = kafka.Record{Topic: "posts", Value: noise(size)}
			}
			_, from, err := c.Bounds(b.Context(), posts)
			require.NoError(b, err)
			require.NoError(b, c.Produce(b.Context(), records))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 256, MaxBytes: 8 << 20})
			at, end := from, from+int64(len(records))
			b.ResetTimer()
			for n := 0; n < b.N; {
				if at == end {
					at = from
				}
				batch, err := f.Next(b.Context(), at, -1)
				require.NoError(b, err)
				if batch == nil {
					continue
				}
				n += int(batch.Posts().NumRows())
				at = batch.Offsets.End
				batch.Release()
			}
		})
	}
}

func BenchmarkProduce(b *testing.B) {
	c := dial(b, config(broker(b)))
	_, err := c.EnsureTopics(b.Context(), []kafka.TopicSpec{{Name: "posts", Partitions: 12}}, true)
	require.NoError(b, err)
	for _, n := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			records := make([]kafka.Record, n)
			for i := range records {
				records[i] = kafka.Record{Topic: "posts", Partition: kafka.ByKey, Key: []byte(strconv.Itoa(i)), Value: noise(1000)}
			}
			for b.Loop() {
				require.NoError(b, c.Produce(b.Context(), records))
			}
		})
	}
}

// The position moves behind the records, never before them.
func TestSinkOrder(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := config(cluster.ListenAddrs())
	cfg.Delivery = kafka.AtLeastOnce
	c := dial(t, cfg)
	done := errors.New("done")
	err := c.Consume(t.Context(), []string{"posts"}, func(ctx context.Context, a *kafka.Assignment) error {
		records := []kafka.Record{{Topic: "posts", Value: []byte("result")}}
		sink, err := a.Sink(ctx)
		assert.NoError(t, err)
		assert.NoError(t, sink.Emit(ctx, records, 3, "first"))
		faults(cluster, 1, kerr.TopicAuthorizationFailed)
		assert.ErrorContains(t, sink.Emit(ctx, records, 4, "second"), "Topic Authorization Failed")
		offset, metadata, err := a.Committed(ctx)
		assert.NoError(t, err)
		assert.Equal(t, int64(3), offset)
		assert.Equal(t, "first", metadata)
		return done
	})
	require.ErrorIs(t, err, done)
	require.Equal(t, []string{"result"}, values(read(t, c, posts)))
}

// What a fetch may cost is what the configuration says.
func TestFetchLimits(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	var mu sync.Mutex
	var asked *kmsg.FetchRequest
	cluster.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		asked = kreq.(*kmsg.FetchRequest)
		return nil, nil, false
	})
	cfg := config(cluster.ListenAddrs())
	cfg.FetchMaxBytes, cfg.FetchMaxWait = 4321, 123*time.Millisecond
	c := dial(t, cfg)
	send(t, c, "v")
	require.Equal(t, []string{"v"}, values(read(t, c, posts)))
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, int32(4321), asked.Topics[0].Partitions[0].PartitionMaxBytes)
	require.Equal(t, int32(123), asked.MaxWaitMillis)
	require.Equal(t, int8(1), asked.IsolationLevel)
}
