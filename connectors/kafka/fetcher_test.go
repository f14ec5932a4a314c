package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

var posts = schemas.Partition{Topic: "posts"}

// fake starts a broker with the topic posts of one partition.
func fake(tb testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(1, "posts")}, opts...)...)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

// other returns a client that shares no code with ours.
func other(tb testing.TB, addrs []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

// values returns the values of rows.
func values(rows []fetched) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.value)
	}
	return out
}

// send produces values to posts/0, in one batch.
func send(tb testing.TB, c *kafka.Client, vs ...string) {
	tb.Helper()
	var records []kafka.Record
	for _, v := range vs {
		records = append(records, kafka.Record{Topic: "posts", Value: []byte(v)})
	}
	require.NoError(tb, c.Produce(context.Background(), records))
}

func numbers(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

// checkTransactions runs transactions of three producers and checks that only what was
// committed shows, and only once nothing before it is open.
func checkTransactions(t *testing.T, addrs []string) {
	t.Helper()
	cfg := config(addrs)
	c := dial(t, cfg)
	var writers []*kgo.Client
	for i := range 3 {
		writers = append(writers, other(t, addrs, kgo.TransactionalID(fmt.Sprintf("writer-%d", i))))
	}
	write := func(w int, vs ...string) {
		var records []*kgo.Record
		for _, v := range vs {
			records = append(records, &kgo.Record{Topic: "posts", Value: []byte(v)})
		}
		require.NoError(t, writers[w].ProduceSync(t.Context(), records...).FirstErr())
	}
	end := func(w int, commit kgo.TransactionEndTry) {
		require.NoError(t, writers[w].EndTransaction(t.Context(), commit))
	}
	begin := func(w int) { require.NoError(t, writers[w].BeginTransaction()) }

	begin(0)
	begin(1)
	write(0, "commit 1", "commit 2") // 0, 1
	write(1, "abort 1", "abort 2")   // 2, 3
	write(0, "commit 3")             // 4
	end(1, kgo.TryAbort)             // 5
	begin(1)
	write(1, "commit 4") // 6
	end(1, kgo.TryCommit)
	end(0, kgo.TryCommit) // 7, 8
	send(t, c, "plain")   // 9
	begin(0)
	write(0, "abort 3") // 10
	end(0, kgo.TryAbort)
	begin(2)
	write(2, "open") // 12
	send(t, c, "behind an open one")

	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	f := c.NewFetcher(posts, alloc, kafka.Limits{MaxRows: 2, MaxBytes: 1 << 20})
	got := readTo(t, f, 0, 12)
	require.Equal(t, []string{"commit 1", "commit 2", "commit 3", "commit 4", "plain"}, values(got))
	require.Equal(t, int64(6), got[3].offset)
	b, err := f.Next(t.Context(), 12, -1)
	require.NoError(t, err)
	require.Nil(t, b, "an open transaction holds everything behind it back")

	// From the middle of an aborted transaction, whose beginning is not fetched.
	require.Equal(t, []string{"commit 3", "commit 4", "plain"}, values(readTo(t, f, 3, 12)))

	end(2, kgo.TryAbort) // 14
	require.Equal(t, []string{"behind an open one"}, values(readTo(t, f, 12, 15)))
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	checkTransactions(t, fake(t).ListenAddrs())
}

// However calls are cut and limited, they deliver each record once, in order,
// in ranges that join.
func TestRangesJoin(t *testing.T) {
	t.Parallel()
	const total = 100
	c := dial(t, config(fake(t).ListenAddrs()))
	var want []string
	for i := 0; i < total; i += 20 {
		part := numbers(i, i+20)
		for j := range part {
			part[j] += strings.Repeat(".", (i+j)%37)
		}
		send(t, c, part...)
		want = append(want, part...)
	}
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	rapid.Check(t, func(rt *rapid.T) {
		lim := kafka.Limits{MaxRows: rapid.IntRange(1, 70).Draw(rt, "rows"), MaxBytes: rapid.IntRange(1, 500).Draw(rt, "bytes")}
		f := c.NewFetcher(posts, alloc, lim)
		at := rapid.Int64Range(0, total-1).Draw(rt, "from")
		got := want[:at:at]
		seeks := rapid.IntRange(0, 3).Draw(rt, "seeks")
		for at < total {
			cut := int64(-1)
			if rapid.Bool().Draw(rt, "has cut") {
				cut = at + rapid.Int64Range(1, 40).Draw(rt, "cut")
			}
			b, err := f.Next(t.Context(), at, cut)
			require.NoError(rt, err)
			require.NotNil(rt, b)
			require.Equal(rt, at, b.Offsets.First)
			if cut >= 0 {
				require.LessOrEqual(rt, b.Offsets.End, cut)
			}
			require.LessOrEqual(rt, int(b.Posts().NumRows()), lim.MaxRows)
			size := 0
			for _, v := range values(rows(b)) {
				got = append(got, v)
				size += len(v)
			}
			require.True(rt, size <= lim.MaxBytes || b.Posts().NumRows() == 1)
			at = b.Offsets.End
			b.Release()
			if seeks > 0 && rapid.Bool().Draw(rt, "seek") {
				seeks--
				at = rapid.Int64Range(0, at).Draw(rt, "back")
				got = got[:at]
			}
		}
		require.Equal(rt, want, got)
	})
}

// A compacted log has gaps: inside of batches, and at their ends.
func TestCompactedTopic(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	require.NoError(t, cluster.CreateTopic("compacted", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "100"}))
	c := dial(t, config(cluster.ListenAddrs()))
	put := func(keys ...string) {
		var records []kafka.Record
		for i, k := range keys {
			records = append(records, kafka.Record{Topic: "compacted", Key: []byte(k), Value: []byte(strconv.Itoa(i))})
		}
		require.NoError(t, c.Produce(t.Context(), records))
	}
	put("kept", "a", "b")
	put("a", "b")
	put("a", "b")
	put("last")
	cluster.Compact()
	f := c.NewFetcher(schemas.Partition{Topic: "compacted"}, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	var got []string
	for _, r := range readTo(t, f, 0, 8) {
		got = append(got, fmt.Sprintf("%d:%s", r.offset, r.key))
	}
	require.Equal(t, []string{"0:kept", "5:a", "6:b", "7:last"}, got)
}

// A batch ends where its head says: what compaction took from its end must
// not be asked for again, and a cut may fall into it.
func TestBatchEndsBehindItsRecords(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	thinned := batch(t, "first")
	binary.BigEndian.PutUint32(thinned[23:], 9) // the last offset's delta
	seal(thinned)
	next := at(batch(t, "second"), 10)
	forge(cluster, 1<<40, func(offset int64) []byte {
		if offset < 10 {
			return thinned
		}
		return next
	})
	c := dial(t, config(cluster.ListenAddrs()))
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	require.Equal(t, []string{"first", "second"}, values(readTo(t, f, 0, 11)))
	for _, r := range []schemas.OffsetRange{{First: 3, End: 7}, {First: 7, End: 8}} {
		b, err := f.Next(t.Context(), r.First, r.End)
		require.NoError(t, err)
		require.Equal(t, r, b.Offsets)
		require.Zero(t, b.Posts().NumRows())
		b.Release()
	}
	require.Equal(t, []string{"second"}, values(readTo(t, f, 8, 11)))
}

// With several brokers, requests find the leader, also when it moves.
func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	c := dial(t, config(cluster.ListenAddrs()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	var got []string
	from := int64(0)
	for node := range int32(3) {
		require.NoError(t, cluster.MoveTopicPartition("posts", 0, node))
		send(t, c, strconv.Itoa(int(node)))
		for from <= int64(node) {
			b, err := f.Next(ctx, from, -1)
			if transient(err) || err == nil && b == nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			require.NoError(t, err)
			got = append(got, values(rows(b))...)
			from = b.Offsets.End
			b.Release()
		}
	}
	require.Equal(t, numbers(0, 3), got)
	require.Equal(t, numbers(0, 3), consumeValues(t, c, "posts", 3))
}

// What lies behind the last stable offset is not read, even if it is sent.
func TestLastStableOffset(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	forge(cluster, 1, func(int64) []byte { return append(batch(t, "stable"), at(batch(t, "open"), 1)...) })
	c := dial(t, config(cluster.ListenAddrs()))
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	b, err := f.Next(t.Context(), 0, -1)
	require.NoError(t, err)
	require.Equal(t, schemas.OffsetRange{First: 0, End: 1}, b.Offsets)
	require.Equal(t, []string{"stable"}, values(rows(b)))
	b.Release()
}

func TestOffsetOutOfRange(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	c := dial(t, config(cluster.ListenAddrs()))
	send(t, c, numbers(0, 10)...)
	send(t, c, numbers(10, 20)...)
	require.NoError(t, cluster.DeleteRecords("posts", 0, 10))
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	for _, from := range []int64{3, 99} {
		_, err := f.Next(t.Context(), from, -1)
		var out *kafka.OffsetRangeError
		require.ErrorAs(t, err, &out)
		require.Equal(t, kafka.OffsetRangeError{Partition: posts, Offset: from, LogStart: 10, LogEnd: 20}, *out)
	}
	require.Equal(t, numbers(10, 20), values(readTo(t, f, 10, 20)), "the fetcher still works")
	_, err := f.Next(t.Context(), 5, 5)
	require.ErrorContains(t, err, "cut 5 is not after offset 5")
}

// forge makes the broker answer each fetch with a record set of ours.
func forge(cluster *kfake.Cluster, stable int64, answer func(offset int64) []byte) {
	cluster.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.Topics = []kmsg.FetchResponseTopic{{Topic: "posts", Partitions: []kmsg.FetchResponseTopicPartition{{
			HighWatermark: 1 << 40, LastStableOffset: stable,
			RecordBatches: answer(req.Topics[0].Partitions[0].FetchOffset),
		}}}}
		return resp, nil, true
	})
}

// A batch that its producer wrote wrong must not stop the partition: what is
// good in it comes out, the rest becomes one record with the batch's bytes.
func TestUnreadableBatch(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	spoiled := batch(t, "good", "bad", "bad", "bad")
	damage(spoiled)
	next := at(batch(t, "next"), 4)
	forge(cluster, 1<<40, func(offset int64) []byte {
		switch {
		case offset < 4:
			return spoiled
		case offset == 4:
			return next
		default:
			return nil
		}
	})
	c := dial(t, config(cluster.ListenAddrs()))
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	got := readTo(t, f, 0, 5)
	require.Len(t, got, 3)
	require.Equal(t, "good", got[0].value)
	require.Equal(t, int64(1), got[1].offset)
	require.Equal(t, string(spoiled), got[1].value)
	require.Equal(t, kafka.HeaderUnreadable, got[1].headers[0].Key)
	require.Equal(t, "next", got[2].value)
	require.Equal(t, int64(4), got[2].offset)
	require.Len(t, readTo(t, f, 2, 5), 2, "from the middle of what is unreadable")
}

// A damaged batch is fetched again; what came whole before it is not held up.
func TestCorruptBatch(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	whole, broken := batch(t, "whole"), at(batch(t, "broken"), 1)
	broken[len(broken)-1] ^= 1
	forge(cluster, 1<<40, func(offset int64) []byte {
		if offset == 0 {
			return append(bytes.Clone(whole), broken...)
		}
		return broken
	})
	c := dial(t, config(cluster.ListenAddrs()))
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	require.Equal(t, []string{"whole"}, values(readTo(t, f, 0, 1)))
	for range 2 {
		_, err := f.Next(t.Context(), 1, -1)
		var transient *stages.Transient
		require.ErrorAs(t, err, &transient)
		require.ErrorIs(t, err, recordset.ErrCorrupt)
	}
}

// Bytes without a whole batch are an error: asking again at once would spin.
func TestNoWholeBatch(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	forge(cluster, 1<<40, func(int64) []byte { return batch(t, "cut off")[:70] })
	c := dial(t, config(cluster.ListenAddrs()))
	_, err := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 1, MaxBytes: 1}).Next(t.Context(), 0, -1)
	require.ErrorContains(t, err, "hold no whole batch")
}

// batch encodes values from offset 0 on.
func batch(tb testing.TB, vs ...string) []byte {
	tb.Helper()
	var records []recordset.Record
	for _, v := range vs {
		records = append(records, recordset.Record{Value: []byte(v)})
	}
	b, err := recordset.Encode(nil, recordset.Plain(0), records)
	require.NoError(tb, err)
	return b
}

// at moves a batch to an offset, which its CRC does not cover.
func at(b []byte, offset uint64) []byte {
	binary.BigEndian.PutUint64(b, offset)
	return b
}

// damage breaks the second record of an uncompressed batch and seals it
// again. The positions are those of Kafka's format.
func damage(b []byte) {
	first := 61
	length, n := binary.Varint(b[first:])
	b[first+n+int(length)] = 1 // a record of −1 bytes
	seal(b)
}

// seal makes a batch that was edited pass its CRC.
func seal(b []byte) {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
}

func TestLongRecordIsCut(t *testing.T) {
	t.Parallel()
	cfg := config(fake(t).ListenAddrs())
	cfg.RecordMaxBytes = 1 << 10
	cfg.Compression = "zstd"
	c := dial(t, cfg)
	long := strings.Repeat("x", 1<<20)
	send(t, c, "short", long, "short")
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 100, MaxBytes: 1 << 20})
	got := readTo(t, f, 0, 3)
	require.Equal(t, []string{"short", long[:1<<10], "short"}, values(got))
	require.Equal(t, kafka.HeaderCut, got[1].headers[0].Key)
	size, err := strconv.Atoi(string(got[1].headers[0].Value))
	require.NoError(t, err)
	require.Greater(t, size, 1<<20)
}

// Waiting ends with the context, with its cause.
func TestNextEndsWithContext(t *testing.T) {
	t.Parallel()
	cfg := config(fake(t).ListenAddrs())
	cfg.FetchMaxWait = time.Second
	c := dial(t, cfg)
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	f := c.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 1, MaxBytes: 1})
	_, err := f.Next(ctx, 0, -1)
	require.ErrorIs(t, err, why)
	_, err = f.Next(ctx, 0, -1)
	require.ErrorIs(t, err, why)
}
