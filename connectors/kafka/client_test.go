package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker starts an embedded broker.
func broker(tb testing.TB) []string {
	tb.Helper()
	b, err := embedded.Start(embedded.DefaultConfig())
	require.NoError(tb, err)
	tb.Cleanup(b.Close)
	return b.Addrs()
}

func config(brokers []string) kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = brokers
	cfg.Group = "group"
	cfg.FetchMaxWait = 100 * time.Millisecond
	cfg.HeartbeatInterval = 200 * time.Millisecond
	cfg.SessionTimeout = 6 * time.Second
	return cfg
}

func dial(tb testing.TB, cfg kafka.Config) *kafka.Client {
	tb.Helper()
	c, err := kafka.Dial(context.Background(), cfg, kafka.Settings{})
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

// fetched is one row of a batch, copied.
type fetched struct {
	offset, time int64
	key, value   string
	headers      []kafka.Header
}

// rows copies a batch's posts.
func rows(b *schemas.Batch) []fetched {
	rec := b.Posts()
	offsets := schemas.Col[*array.Int64](rec, schemas.RecordOffset)
	times := schemas.Col[*array.Timestamp](rec, schemas.RecordTime)
	keys := schemas.Col[*array.Binary](rec, schemas.RecordKey)
	values := schemas.Col[*array.Binary](rec, schemas.RecordValue)
	headers := schemas.Col[*array.List](rec, schemas.RecordHeaders)
	hs := headers.ListValues().(*array.Struct)
	hk, hv := hs.Field(0).(*array.String), hs.Field(1).(*array.Binary)
	out := make([]fetched, rec.NumRows())
	for i := range out {
		text := func(a *array.Binary) string {
			if a.IsNull(i) {
				return "<null>"
			}
			return string(a.Value(i))
		}
		out[i] = fetched{offset: offsets.Value(i), time: int64(times.Value(i)), key: text(keys), value: text(values)}
		start, end := headers.ValueOffsets(i)
		for j := int(start); j < int(end); j++ {
			h := kafka.Header{Key: hk.Value(j)}
			if !hv.IsNull(j) {
				h.Value = append([]byte{}, hv.Value(j)...)
			}
			out[i].headers = append(out[i].headers, h)
		}
	}
	return out
}

// readTo fetches from an offset until the batches reach end.
func readTo(tb testing.TB, f *kafka.Fetcher, from, end int64) []fetched {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var all []fetched
	for from < end {
		b, err := f.Next(ctx, from, -1)
		require.NoError(tb, err)
		if b == nil {
			continue
		}
		require.Equal(tb, from, b.Offsets.First)
		require.Greater(tb, b.Offsets.End, from)
		all = append(all, rows(b)...)
		from = b.Offsets.End
		b.Release()
	}
	return all
}

func TestProduceAndFetch(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			cfg := config(broker(t))
			cfg.Compression = codec
			c := dial(t, cfg)
			_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "posts", Partitions: 2}}, true)
			require.NoError(t, err)

			at := time.UnixMilli(1_700_000_000_123)
			want := []fetched{
				{offset: 0, time: at.UnixMilli(), key: "k", value: "v", headers: []kafka.Header{{Key: "h", Value: []byte("x")}, {Key: "null"}}},
				{offset: 1, time: at.UnixMilli(), key: "<null>", value: ""},
				{offset: 2, time: at.UnixMilli(), key: "", value: "<null>"},
			}
			require.NoError(t, c.Produce(t.Context(), []kafka.Record{
				{Topic: "posts", Partition: 1, Key: []byte("k"), Value: []byte("v"), Headers: want[0].headers, Time: at},
				{Topic: "posts", Partition: 1, Value: []byte{}, Time: at},
				{Topic: "posts", Partition: 1, Key: []byte{}, Time: at},
			}))
			alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer alloc.AssertSize(t, 0)
			f := c.NewFetcher(schemas.Partition{Topic: "posts", ID: 1}, alloc, kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
			require.Equal(t, want, readTo(t, f, 0, 3))
			idle, err := f.Next(t.Context(), 3, -1)
			require.NoError(t, err)
			require.Nil(t, idle)
		})
	}
}

func kgoRecord(topic string, partition int32, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
}

func transient(err error) bool {
	var t *stages.Transient
	return errors.As(err, &t)
}

// dedupe drops values that came before: at least once allows them.
func dedupe(vs []string) []string {
	seen := make(map[string]bool)
	var out []string
	for _, v := range vs {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
