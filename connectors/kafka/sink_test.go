package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// assigned joins the group and returns the assignment of a topic's only
// partition, which stands until the test ends.
func assigned(t *testing.T, c *kafka.Client, topic string) *kafka.Assignment {
	t.Helper()
	got := make(chan *kafka.Assignment, 8)
	background(t, c, topic, func(ctx context.Context, a *kafka.Assignment) error {
		got <- a
		<-ctx.Done()
		return nil
	})
	return <-got
}

func sink(t *testing.T, a *kafka.Assignment) kafka.Sink {
	t.Helper()
	s, err := a.Sink(t.Context())
	require.NoError(t, err)
	return s
}

func position(t *testing.T, a *kafka.Assignment) (int64, string) {
	t.Helper()
	at, metadata, err := a.Committed(t.Context())
	require.NoError(t, err)
	return at, metadata
}

// out makes records for the topic out, spread over its partitions.
func out(vs ...string) []kafka.Record {
	var records []kafka.Record
	for i, v := range vs {
		records = append(records, kafka.Record{Topic: "out", Partition: int32(i % 2), Value: []byte(v)})
	}
	return records
}

// seen is what another client sees of the topic out at read_committed, up to
// plain records that are sent behind it: an open transaction would hold them back.
func seen(t *testing.T, c *kafka.Client, addrs []string) []string {
	t.Helper()
	end := "end " + time.Now().String()
	require.NoError(t, c.Produce(t.Context(), []kafka.Record{{Topic: "out", Value: []byte(end)}, {Topic: "out", Partition: 1, Value: []byte(end)}}))
	reader := other(t, addrs, kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	for ends := 0; ends < 2; {
		for _, r := range reader.PollFetches(ctx).Records() {
			switch v := string(r.Value); {
			case v == end:
				ends++
			case !strings.HasPrefix(v, "end "):
				got = append(got, v)
			}
		}
		require.NoError(t, ctx.Err(), "something holds the readers back, after %d records", len(got))
	}
	return got
}

// checkExactlyOnce emits transactions and has everything go wrong that may:
// what shows is what was committed, with its position.
func checkExactlyOnce(t *testing.T, addrs []string) {
	t.Helper()
	cfg := config(addrs)
	cfg.Group = "exactly/once"
	c := dial(t, cfg)
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{
		{Name: "in", Partitions: 1},
		{Name: "out", Partitions: 2, Configs: [][2]string{{"max.message.bytes", "100000"}}},
	}, true)
	require.NoError(t, err)
	a := assigned(t, c, "in")
	s := sink(t, a)
	at, _ := position(t, a)
	require.Equal(t, int64(-1), at)

	require.NoError(t, s.Emit(t.Context(), out("a", "b", "c"), 5, "first"))
	at, metadata := position(t, a)
	require.Equal(t, int64(5), at)
	require.Equal(t, "first", metadata)
	require.NoError(t, s.Emit(t.Context(), nil, 8, "no records"))
	require.NoError(t, s.Emit(t.Context(), out("d", string(noise(90_000)), string(noise(90_000)), "e"), 9, "two batches a partition"))
	want := len(seen(t, c, addrs))
	require.Equal(t, 7, want)

	var large *kafka.RecordTooLargeError
	err = s.Emit(t.Context(), append(out("aborted", "aborted"), kafka.Record{Topic: "out", Value: noise(200_000)}), 10, "")
	require.ErrorAs(t, err, &large)
	require.NoError(t, s.Emit(t.Context(), out("f"), 10, "after a record that was too large"))
	at, _ = position(t, a)
	require.Equal(t, int64(10), at)

	owner := sink(t, a)
	require.ErrorIs(t, s.Emit(t.Context(), out("zombie", "zombie"), 99, "zombie"), kafka.ErrFenced)
	require.ErrorContains(t, s.Emit(t.Context(), nil, 99, "zombie"), "the position must be read again")
	require.NoError(t, owner.Emit(t.Context(), out("g"), 11, "owner"))

	// A generation that is over is refused by the group, fenced or not.
	stale := *a
	young := sink(t, &stale)
	stale.Generation--
	require.ErrorIs(t, young.Emit(t.Context(), out("stale", "stale"), 99, "stale"), kafka.ErrGenerationEnded)
	_, err = stale.Sink(t.Context())
	require.ErrorIs(t, err, kafka.ErrGenerationEnded)
	require.ErrorIs(t, owner.Emit(t.Context(), out("fenced by a zombie"), 12, ""), kafka.ErrFenced)

	owner = sink(t, a)
	at, metadata = position(t, a)
	require.Equal(t, int64(11), at)
	require.Equal(t, "owner", metadata)
	for i := range 20 {
		require.NoError(t, owner.Emit(t.Context(), out(strconv.Itoa(i)), int64(12+i), ""))
	}
	got := seen(t, c, addrs)
	require.Len(t, got, want+2+20)
	require.Subset(t, got, append(numbers(0, 20), "a", "b", "c", "d", "e", "f", "g"))
	// Our own reader skips the same.
	ours := 0
	for p := range int32(2) {
		for _, r := range read(t, c, schemas.Partition{Topic: "out", ID: p}) {
			if !strings.HasPrefix(r.value, "end ") {
				ours++
			}
		}
	}
	require.Equal(t, len(got), ours)
}

func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	checkExactlyOnce(t, broker(t))
}

// lossy is a listener that swallows the answer to the next request of a kind,
// and the connection with it.
type lossy struct {
	net.Listener
	key atomic.Int32
}

func (l *lossy) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, l: l}, nil
}

type lossyConn struct {
	net.Conn
	l      *lossy
	head   bool // a request's length was read, its key is next
	doomed atomic.Bool
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case n == 4 && !c.head:
		c.head = true
	case c.head && n >= 2:
		c.head = false
		if key := int32(binary.BigEndian.Uint16(p)); c.l.key.CompareAndSwap(key, -1) {
			c.doomed.Store(true)
		}
	}
	return n, err
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if c.doomed.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// lossyBroker returns a broker with the topics in and out, and what makes it
// lose the answer to the next request of a kind.
func lossyBroker(t *testing.T, opts ...kfake.Opt) (cluster *kfake.Cluster, lose func(kmsg.Key)) {
	t.Helper()
	l := &lossy{}
	l.key.Store(-1)
	cluster = fake(t, append(opts, kfake.SeedTopics(1, "in"), kfake.SeedTopics(2, "out"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		inner, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
		l.Listener = inner
		return l, err
	}))...)
	return cluster, func(key kmsg.Key) { l.key.Store(int32(key)) }
}

// Whatever answer is lost: nothing is repeated on a guess. A new sink and the
// position say what became of the batch, and it is there once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for key, done := range map[kmsg.Key]bool{
		kmsg.AddPartitionsToTxn: false, kmsg.Produce: false, kmsg.AddOffsetsToTxn: false, kmsg.TxnOffsetCommit: false, kmsg.EndTxn: true,
	} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			cluster, lose := lossyBroker(t)
			c := dial(t, config(cluster.ListenAddrs()))
			a := assigned(t, c, "in")
			s := sink(t, a)
			require.NoError(t, s.Emit(t.Context(), out("a", "b"), 2, ""))
			lose(key)
			err := s.Emit(t.Context(), out("c", "d"), 4, "")
			if key == kmsg.Produce {
				require.NoError(t, err, "a batch may be sent again: its sequence tells")
			} else {
				require.True(t, transient(err), "%v", err)
				require.ErrorContains(t, s.Emit(t.Context(), out("guess"), 5, ""), "the position must be read again")
				s = sink(t, a)
				at, _ := position(t, a)
				if done {
					require.Equal(t, int64(4), at)
				} else {
					require.Equal(t, int64(2), at)
					require.NoError(t, s.Emit(t.Context(), out("c", "d"), 4, ""))
				}
			}
			require.ElementsMatch(t, []string{"a", "b", "c", "d"}, seen(t, c, cluster.ListenAddrs()))
		})
	}
}

// What the broker has aborted is not tried again in the same transaction, and
// does not let other partitions wait for it.
func TestBrokerAborts(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{
		kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.TransactionalIDNotFound,
		kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.TransactionAbortable,
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			cluster, _ := lossyBroker(t)
			c := dial(t, config(cluster.ListenAddrs()))
			a := assigned(t, c, "in")
			s := sink(t, a)
			// One partition waits for its replicas, the other is refused.
			var healthy atomic.Bool
			cluster.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if healthy.Load() {
					return nil, nil, false
				}
				req := kreq.(*kmsg.ProduceRequest)
				resp := req.ResponseKind().(*kmsg.ProduceResponse)
				topic := kmsg.ProduceResponseTopic{Topic: "out"}
				for _, p := range req.Topics[0].Partitions {
					answer := kmsg.ProduceResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.NotEnoughReplicas.Code}
					if p.Partition == 1 {
						answer.ErrorCode = code.Code
					}
					topic.Partitions = append(topic.Partitions, answer)
				}
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
			require.ErrorIs(t, s.Emit(t.Context(), out("a", "b"), 4, ""), kafka.ErrAborted)
			healthy.Store(true)
			s = sink(t, a)
			require.NoError(t, s.Emit(t.Context(), out("c", "d"), 4, ""))
			require.ElementsMatch(t, []string{"c", "d"}, seen(t, c, cluster.ListenAddrs()))
		})
	}
}

// A commit that never reached the broker is an abort.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	cluster, _ := lossyBroker(t)
	c := dial(t, config(cluster.ListenAddrs()))
	a := assigned(t, c, "in")
	s := sink(t, a)
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("the connection breaks"), true
	})
	require.True(t, transient(s.Emit(t.Context(), out("lost", "lost"), 4, "")))
	s = sink(t, a)
	at, _ := position(t, a)
	require.Equal(t, int64(-1), at)
	require.NoError(t, s.Emit(t.Context(), out("again", "again"), 4, ""))
	require.Equal(t, []string{"again", "again"}, seen(t, c, cluster.ListenAddrs()))
}

// Whoever is told to stop in the middle of a transaction aborts it, so that
// readers need not wait for its timeout.
func TestStopAborts(t *testing.T) {
	t.Parallel()
	cluster, _ := lossyBroker(t)
	c := dial(t, config(cluster.ListenAddrs()))
	s := sink(t, assigned(t, c, "in"))
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	// The first of two batches is written, the second waits for its replicas.
	var tries atomic.Int32
	var healthy atomic.Bool
	cluster.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if tries.Add(1) == 1 || healthy.Load() {
			return nil, nil, false
		}
		resp := kreq.ResponseKind().(*kmsg.ProduceResponse)
		resp.Topics = []kmsg.ProduceResponseTopic{{Topic: "out", Partitions: []kmsg.ProduceResponseTopicPartition{{ErrorCode: kerr.NotEnoughReplicas.Code}}}}
		return resp, nil, true
	})
	go func() {
		for tries.Load() < 3 {
			time.Sleep(time.Millisecond)
		}
		cancel(why)
	}()
	long := []kafka.Record{{Topic: "out", Value: noise(600_000)}, {Topic: "out", Value: noise(600_000)}}
	require.ErrorIs(t, s.Emit(ctx, long, 4, ""), why)
	healthy.Store(true)
	require.Empty(t, seen(t, c, cluster.ListenAddrs()))
}

// unstable makes the broker say n times that a transaction holds the position.
func unstable(cluster *kfake.Cluster, n int32) *atomic.Int32 {
	var asked atomic.Int32
	cluster.ControlKey(int16(kmsg.OffsetFetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := kreq.(*kmsg.OffsetFetchRequest)
		if !req.RequireStable || asked.Add(1) > n {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		resp.Topics = []kmsg.OffsetFetchResponseTopic{{Topic: "in", Partitions: []kmsg.OffsetFetchResponseTopicPartition{
			{Offset: -1, LeaderEpoch: -1, ErrorCode: kerr.UnstableOffsetCommit.Code},
		}}}
		return resp, nil, true
	})
	return &asked
}

// A position that a transaction is about to move is waited for.
func TestPositionIsStable(t *testing.T) {
	t.Parallel()
	cluster, _ := lossyBroker(t)
	c := dial(t, config(cluster.ListenAddrs()))
	a := assigned(t, c, "in")
	require.NoError(t, sink(t, a).Emit(t.Context(), nil, 3, "three"))
	asked := unstable(cluster, 5)
	at, metadata := position(t, a)
	require.Equal(t, int64(3), at)
	require.Equal(t, "three", metadata)
	require.Equal(t, int32(6), asked.Load())
}

// An offset that stays pending, though nobody's transaction is open, is
// settled by the next owner's.
func TestPendingForEverIsSettled(t *testing.T) {
	t.Parallel()
	cluster, _ := lossyBroker(t)
	c := dial(t, config(cluster.ListenAddrs()))
	a := assigned(t, c, "in")
	sink(t, a)
	asked := unstable(cluster, 1<<20)
	_, _, err := a.Committed(t.Context())
	require.True(t, transient(err), "%v", err)
	ended := make(chan bool, 1)
	cluster.ControlKey(int16(kmsg.EndTxn), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		ended <- kreq.(*kmsg.EndTxnRequest).Commit
		asked.Store(1 << 20)
		return nil, nil, false
	})
	s := sink(t, a)
	require.Len(t, ended, 1, "a transaction has ended")
	require.False(t, <-ended)
	at, _ := position(t, a)
	require.Equal(t, int64(-1), at)
	require.NoError(t, s.Emit(t.Context(), out("a"), 1, ""))
}

// What operators have to change is said, at once.
func TestBrokersThatCannot(t *testing.T) {
	t.Parallel()
	old := fake(t, kfake.MaxVersions(kversion.V2_4_0()))
	a := assigned(t, dial(t, config(old.ListenAddrs())), "posts")
	_, _, err := a.Committed(t.Context())
	require.ErrorContains(t, err, "Kafka 2.5 or later")
	require.False(t, transient(err))

	cfg := config(fake(t).ListenAddrs())
	cfg.TransactionTimeout = time.Hour
	_, err = assigned(t, dial(t, cfg), "posts").Sink(t.Context())
	require.ErrorContains(t, err, "kafka.transaction_timeout: 1h0m0s")
	require.False(t, transient(err))
}

// BenchmarkEmit compares what a batch costs with both deliveries.
func BenchmarkEmit(b *testing.B) {
	benchmarkEmit(b, broker(b))
}

func benchmarkEmit(b *testing.B, addrs []string) {
	for _, delivery := range []string{kafka.AtLeastOnce, kafka.ExactlyOnce} {
		b.Run(delivery, func(b *testing.B) {
			cfg := config(addrs)
			cfg.Delivery, cfg.Group = delivery, delivery
			c := dial(b, cfg)
			_, err := c.EnsureTopics(b.Context(), []kafka.TopicSpec{{Name: "in", Partitions: 1}, {Name: "out", Partitions: 6}}, true)
			require.NoError(b, err)
			var records []kafka.Record
			for i := range 64 {
				records = append(records, kafka.Record{Topic: "out", Partition: kafka.ByKey, Key: []byte(strconv.Itoa(i)), Value: noise(1000)})
			}
			got := make(chan *kafka.Assignment, 8)
			background(b, c, "in", func(ctx context.Context, a *kafka.Assignment) error {
				got <- a
				<-ctx.Done()
				return nil
			})
			s, err := (<-got).Sink(b.Context())
			require.NoError(b, err)
			require.NoError(b, s.Emit(b.Context(), records, 1, "the topic's leaders are known now"))
			for n := int64(2); b.Loop(); n++ {
				require.NoError(b, s.Emit(b.Context(), records, n, "metadata"))
			}
		})
	}
}
