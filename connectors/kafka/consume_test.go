package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/schemas"
)

// worker is the shape of a pipeline's chain: it reads from where the group
// stands, passes each row to got, and commits behind it.
func worker(c *kafka.Client, got func(p schemas.Partition, r fetched)) kafka.Handler {
	return func(ctx context.Context, a *kafka.Assignment) error {
		sink, err := a.Sink(ctx)
		if err != nil {
			return err
		}
		at, _, err := a.Committed(ctx)
		if err == nil && at < 0 {
			at, err = a.Start(ctx)
		}
		if err != nil {
			return err
		}
		f := c.NewFetcher(a.Partition, memory.NewGoAllocator(), kafka.Limits{MaxRows: 50, MaxBytes: 1 << 20})
		for ctx.Err() == nil {
			b, err := f.Next(ctx, at, -1)
			if err != nil {
				return err
			}
			if b == nil {
				continue
			}
			for _, r := range rows(b) {
				got(a.Partition, r)
			}
			at = b.Offsets.End
			b.Release()
			// A batch that is begun is finished, also while the group moves on.
			if err := sink.Emit(context.WithoutCancel(ctx), nil, at, "at "+strconv.FormatInt(at, 10)); err != nil {
				return err
			}
		}
		return nil
	}
}

// background runs Consume until stop is called, which returns its error.
func background(tb testing.TB, c *kafka.Client, topic string, h kafka.Handler) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Consume(ctx, []string{topic}, h) }()
	once := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	tb.Cleanup(func() { _ = once() })
	return once
}

// collector gathers values by partition.
type collector struct {
	mu   sync.Mutex
	seen map[int32][]string
	n    int
}

func (c *collector) add(p schemas.Partition, r fetched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[int32][]string)
	}
	c.seen[p.ID] = append(c.seen[p.ID], r.value)
	c.n++
}

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *collector) values(p int32) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.seen[p]...)
}

const patience = 30 * time.Second

func eventually(tb testing.TB, ok func() bool, what string) {
	tb.Helper()
	require.Eventually(tb, ok, patience, 10*time.Millisecond, what)
}

// consumeValues returns the first n values of a topic of one partition, read as a group.
func consumeValues(tb testing.TB, c *kafka.Client, topic string, n int) []string {
	tb.Helper()
	var got collector
	stop := background(tb, c, topic, worker(c, got.add))
	eventually(tb, func() bool { return got.count() >= n }, "records")
	require.NoError(tb, stop())
	return got.values(0)
}

func admin(tb testing.TB, addrs []string) *kadm.Client {
	tb.Helper()
	return kadm.NewClient(other(tb, addrs))
}

// Stopping and starting again goes on where the group stands, with nothing
// twice, and leaves the group empty at once.
func TestConsumeGoesOn(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	c := dial(t, config(cluster.ListenAddrs()))
	send(t, c, numbers(0, 120)...)
	var joins atomic.Int32
	cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		joins.Add(1)
		return nil, nil, false
	})
	require.Equal(t, numbers(0, 120), consumeValues(t, c, "posts", 120))
	require.Equal(t, int32(1), joins.Load(), "it does not join again on its way out")

	groups, err := admin(t, cluster.ListenAddrs()).DescribeGroups(t.Context(), "group")
	require.NoError(t, err)
	require.Empty(t, groups["group"].Members, "it has left")

	send(t, c, numbers(120, 200)...)
	require.Equal(t, numbers(120, 200), consumeValues(t, c, "posts", 80))
}

func TestCommitCarriesMetadata(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := config(cluster.ListenAddrs())
	cfg.Delivery = kafka.AtLeastOnce
	c := dial(t, cfg)
	metadata := `base=7 digest=` + strings.Repeat("0f", 32)
	done := errors.New("done")
	err := c.Consume(t.Context(), []string{"posts"}, func(ctx context.Context, a *kafka.Assignment) error {
		offset, text, err := a.Committed(ctx)
		assert.NoError(t, err)
		assert.Equal(t, int64(-1), offset)
		assert.Empty(t, text)
		assert.NoError(t, a.Alive(ctx))
		assert.NoError(t, a.Commit(ctx, 42, metadata))
		offset, text, err = a.Committed(ctx)
		assert.NoError(t, err)
		assert.Equal(t, int64(42), offset)
		assert.Equal(t, metadata, text)

		// What an older generation, or nobody, says does not count.
		for _, stale := range []kafka.Assignment{
			{Partition: a.Partition, Generation: a.Generation - 1, Member: a.Member},
			{Partition: a.Partition, Generation: a.Generation, Member: "nobody"},
		} {
			zombie := *a
			zombie.Generation, zombie.Member = stale.Generation, stale.Member
			assert.ErrorIs(t, zombie.Commit(ctx, 1, ""), kafka.ErrGenerationEnded)
			assert.ErrorIs(t, zombie.Alive(ctx), kafka.ErrGenerationEnded)
			sink, err := zombie.Sink(ctx)
			assert.NoError(t, err)
			assert.ErrorIs(t, sink.Emit(ctx, nil, 1, ""), kafka.ErrGenerationEnded)
		}
		return done
	})
	require.ErrorIs(t, err, done)
	offsets, err := admin(t, cluster.ListenAddrs()).FetchOffsets(t.Context(), "group")
	require.NoError(t, err)
	at, ok := offsets.Lookup("posts", 0)
	require.True(t, ok)
	require.Equal(t, int64(42), at.At)
	require.Equal(t, metadata, at.Metadata)
}

func TestStartLatest(t *testing.T) {
	t.Parallel()
	cfg := config(fake(t).ListenAddrs())
	cfg.Start = kafka.StartLatest
	c := dial(t, cfg)
	send(t, c, "before")
	var got collector
	started := make(chan struct{})
	begin := sync.OnceFunc(func() { close(started) })
	stop := background(t, c, "posts", func(ctx context.Context, a *kafka.Assignment) error {
		at, err := a.Start(ctx)
		if err == nil {
			err = a.Commit(ctx, at, "")
		}
		if err != nil {
			return err
		}
		begin()
		return worker(c, got.add)(ctx, a)
	})
	<-started
	send(t, c, "after")
	eventually(t, func() bool { return got.count() == 1 }, "a record")
	require.NoError(t, stop())
	require.Equal(t, []string{"after"}, got.values(0))
}

// checkSharing runs two members on one topic: they share its partitions, each record is
// delivered in order, and when one leaves the other goes on where it stood.
func checkSharing(t *testing.T, addrs []string) {
	t.Helper()
	cfg := config(addrs)
	cfg.Group = "sharing"
	c := dial(t, cfg)
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "shared", Partitions: 4}}, true)
	require.NoError(t, err)
	next := 0
	produce := func(n int) {
		var records []kafka.Record
		for range n {
			records = append(records, kafka.Record{Topic: "shared", Partition: int32(next % 4), Value: []byte(strconv.Itoa(next))})
			next++
		}
		require.NoError(t, c.Produce(context.WithoutCancel(t.Context()), records))
	}
	var got, second collector
	both := func(p schemas.Partition, r fetched) { got.add(p, r); second.add(p, r) }
	produce(100)
	stopOne := background(t, c, "shared", worker(c, got.add))
	eventually(t, func() bool { return got.count() == 100 }, "the first part")
	stopTwo := background(t, dial(t, cfg), "shared", worker(c, both))
	eventually(t, func() bool { // produce until both have a share
		produce(20)
		return second.count() > 0 && got.count() > second.count()+100
	}, "a share for the second member")
	require.NoError(t, stopOne())
	produce(100)
	eventually(t, func() bool { return got.count() >= next }, "the rest")
	require.NoError(t, stopTwo())
	for p := range 4 {
		var want []string
		for i := p; i < next; i += 4 {
			want = append(want, strconv.Itoa(i))
		}
		require.Equal(t, want, got.values(int32(p)), "partition %d", p)
	}
}

func TestMembersShare(t *testing.T) {
	t.Parallel()
	checkSharing(t, broker(t))
}

// checkAddedPartitions adds partitions while a member runs with start: latest: the new ones
// are read from their beginning.
func checkAddedPartitions(t *testing.T, addrs []string) {
	t.Helper()
	cfg := config(addrs)
	cfg.Group, cfg.Start = "growing", kafka.StartLatest
	c := dial(t, cfg)
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "growing", Partitions: 1}}, true)
	require.NoError(t, err)
	var got collector
	joined := make(chan struct{})
	first := sync.OnceFunc(func() { close(joined) })
	stop := background(t, c, "growing", func(ctx context.Context, a *kafka.Assignment) error {
		first()
		return worker(c, got.add)(ctx, a)
	})
	<-joined
	_, err = admin(t, addrs).UpdatePartitions(t.Context(), 3, "growing")
	require.NoError(t, err)
	w := other(t, addrs)
	for p := range int32(3) {
		if p > 0 {
			// Brokers hear of new partitions one after the other; until then nothing is sent.
			eventually(t, func() bool {
				return w.ProduceSync(t.Context(), kgoRecord("growing", p, "new "+strconv.Itoa(int(p)))).FirstErr() == nil
			}, "a broker that knows the new partitions")
		}
	}
	eventually(t, func() bool { return got.count() == 2 }, "records of the new partitions")
	require.NoError(t, stop())
	require.Equal(t, []string{"new 1"}, got.values(1))
	require.Equal(t, []string{"new 2"}, got.values(2))
}

func TestAddedPartitions(t *testing.T) {
	t.Parallel()
	checkAddedPartitions(t, broker(t))
}

// checkSlowDrain has a handler that needs longer than the session timeout to
// finish its batch: it still commits it, in a rebalance and at the end.
func checkSlowDrain(t *testing.T, addrs []string, ending string, session time.Duration) {
	t.Helper()
	cfg := config(addrs)
	cfg.Group = "slow-" + ending
	cfg.SessionTimeout, cfg.HeartbeatInterval = session, session/7
	c := dial(t, cfg)
	began := make(chan struct{})
	committed := make(chan error, 1)
	var once sync.Once
	stop := background(t, c, "posts", func(ctx context.Context, a *kafka.Assignment) error {
		once.Do(func() {
			close(began)
			<-ctx.Done()
			time.Sleep(3 * session)
			committed <- a.Commit(context.WithoutCancel(ctx), 7, "")
		})
		<-ctx.Done()
		return nil
	})
	<-began
	if ending == "rebalance" {
		background(t, dial(t, cfg), "posts", func(ctx context.Context, _ *kafka.Assignment) error { <-ctx.Done(); return nil })
	} else {
		go func() { _ = stop() }()
	}
	require.NoError(t, <-committed)
	require.NoError(t, stop())
}

var endings = []string{"rebalance", "shutdown"}

func TestSlowDrain(t *testing.T) {
	t.Parallel()
	for _, ending := range endings {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.GroupMinSessionTimeout(100*time.Millisecond))
			checkSlowDrain(t, cluster.ListenAddrs(), ending, 700*time.Millisecond)
		})
	}
}

// One handler's error ends all handlers and is what Consume returns; one that
// returns early makes the group begin anew.
func TestHandlerReturns(t *testing.T) {
	t.Parallel()
	c := dial(t, config(broker(t)))
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "posts", Partitions: 3}}, true)
	require.NoError(t, err)
	var mu sync.Mutex
	generations := make(map[int32]bool)
	broken := errors.New("broken")
	err = c.Consume(t.Context(), []string{"posts"}, func(ctx context.Context, a *kafka.Assignment) error {
		mu.Lock()
		generations[a.Generation] = true
		n := len(generations)
		mu.Unlock()
		switch {
		case a.Partition.ID != 1:
			<-ctx.Done()
			return context.Cause(ctx)
		case n == 1:
			return nil
		case n == 2:
			return kafka.ErrGenerationEnded
		default:
			return broken
		}
	})
	require.ErrorIs(t, err, broken)
	require.Len(t, generations, 3)
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// checkOutage takes the broker away and brings it back: the pipeline waits,
// says so once, and goes on with every record in order.
func checkOutage(t *testing.T, addrs []string, down, up func()) {
	t.Helper()
	var log syncBuffer
	cfg := config(addrs)
	cfg.Group = "outage"
	c, err := kafka.Dial(t.Context(), cfg, kafka.Settings{Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "outage", Partitions: 1}}, true)
	require.NoError(t, err)
	var got collector
	// Runs like the pipeline: what is transient is tried again.
	stop := background(t, c, "outage", func(ctx context.Context, a *kafka.Assignment) error {
		for {
			err := worker(c, got.add)(ctx, a)
			if ctx.Err() != nil || !transient(err) {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	put := func(from, to int) error {
		var records []kafka.Record
		for _, v := range numbers(from, to) {
			records = append(records, kafka.Record{Topic: "outage", Value: []byte(v)})
		}
		return c.Produce(context.WithoutCancel(t.Context()), records)
	}
	require.NoError(t, put(0, 100))
	eventually(t, func() bool { return got.count() == 100 }, "what came before")
	down()
	before := len(log.String())
	produced := make(chan error, 1)
	go func() { produced <- put(100, 200) }()
	const retrying = `msg="waiting, and trying again" doing="producing to outage/0"`
	eventually(t, func() bool { return strings.Contains(log.String()[before:], retrying) }, "the outage in the log")
	time.Sleep(2 * time.Second)
	up()
	require.NoError(t, <-produced)
	// The outage may have some come twice.
	eventually(t, func() bool { return len(dedupe(got.values(0))) >= 200 }, "what came in the outage")
	require.NoError(t, stop())
	require.Equal(t, numbers(0, 200), dedupe(got.values(0)))
	outage := log.String()[before:]
	require.Equal(t, 1, strings.Count(outage, retrying), outage)
	require.Contains(t, outage, "going on")
	require.LessOrEqual(t, strings.Count(outage, "cannot join the group"), 1, outage)
}

// embeddedAt starts an embedded broker that keeps its data in dir.
func embeddedAt(tb testing.TB, dir, listen string) *embedded.Broker {
	tb.Helper()
	cfg := embedded.DefaultConfig()
	cfg.DataDir, cfg.Listen = dir, listen
	b, err := embedded.Start(cfg)
	require.NoError(tb, err)
	tb.Cleanup(b.Close)
	return b
}

func TestOutage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := embeddedAt(t, dir, "127.0.0.1:0")
	addrs := b.Addrs()
	checkOutage(t, addrs, b.Close, func() { embeddedAt(t, dir, addrs[0]) })
}

// Stopping does not wait for brokers that are away.
func TestStopWhileAway(t *testing.T) {
	t.Parallel()
	b := embeddedAt(t, t.TempDir(), "127.0.0.1:0")
	c := dial(t, config(b.Addrs()))
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "posts", Partitions: 1}}, true)
	require.NoError(t, err)
	joined, over := make(chan struct{}), make(chan struct{})
	var once, twice sync.Once
	stop := background(t, c, "posts", func(ctx context.Context, _ *kafka.Assignment) error {
		once.Do(func() { close(joined) })
		<-ctx.Done()
		twice.Do(func() { close(over) })
		return nil
	})
	<-joined
	b.Close()
	<-over
	require.NoError(t, stop())
}

// Leaving does not wait for a join that the broker holds back.
func TestStopWhileJoining(t *testing.T) {
	t.Parallel()
	cfg := config(fake(t).ListenAddrs())
	cfg.RebalanceTimeout = time.Hour // longer than any test
	blocker, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	// A member that does not let go holds the rebalance up.
	stopBlocker := background(t, dial(t, cfg), "posts", func(ctx context.Context, _ *kafka.Assignment) error {
		once.Do(func() { close(blocker) })
		<-ctx.Done()
		<-release
		return nil
	})
	<-blocker
	stop := background(t, dial(t, cfg), "posts", func(ctx context.Context, _ *kafka.Assignment) error { <-ctx.Done(); return nil })
	time.Sleep(time.Second) // it is in its join by now; earlier is right as well
	require.NoError(t, stop())
	close(release)
	require.NoError(t, stopBlocker())
}
