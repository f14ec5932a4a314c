package txn_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/endtxn"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/connectors/kafka/txn"
	"github.com/itrstream/itrstream/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	id    = "group/posts/0"
	group = "group"
)

var results = schemas.Partition{Topic: "results"}

// world is a broker, and a way to it.
type world struct {
	t         *testing.T
	cluster   *kfake.Cluster
	transport *kafkago.Transport
	client    *kgo.Client
	ctx       context.Context // nothing here takes long, unless it is tried for ever
	// lose makes Send lose the answer to the next request of a kind, when it is set.
	lose atomic.Int32
}

func newWorld(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "posts", "results")}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	w := &world{t: t, cluster: cluster, transport: &kafkago.Transport{}, client: client}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	w.lose.Store(-1)
	t.Cleanup(w.transport.CloseIdleConnections)
	return w
}

var errLost = errors.New("the answer is lost")

func (w *world) send(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	m, err := w.transport.RoundTrip(ctx, kafkago.TCP(w.cluster.ListenAddrs()...), req)
	if err == nil && w.lose.CompareAndSwap(int32(req.ApiKey()), -1) {
		return nil, errLost
	}
	return m, err
}

func (w *world) open() *txn.Producer {
	w.t.Helper()
	p, err := w.tryOpen(time.Minute)
	require.NoError(w.t, err)
	return p
}

func (w *world) tryOpen(timeout time.Duration) (*txn.Producer, error) {
	return txn.Open(w.t.Context(), txn.Settings{Send: w.send, ClientID: "test", Log: slog.New(slog.DiscardHandler)}, id, timeout)
}

// produce sends one batch and returns the broker's code.
func (w *world) produce(p *txn.Producer, to schemas.Partition, values ...string) kafkago.Error {
	w.t.Helper()
	var records []recordset.Record
	for _, v := range values {
		records = append(records, recordset.Record{Value: []byte(v)})
	}
	set, err := recordset.Encode(make([]byte, 4), p.Options(to, 0), records)
	require.NoError(w.t, err)
	binary.BigEndian.PutUint32(set, uint32(len(set)-4))
	req := &rawproduce.Request{TransactionalID: p.ID(), Acks: -1, Timeout: 5000, Topics: []rawproduce.RequestTopic{{
		Topic: to.Topic, Partitions: []rawproduce.RequestPartition{{Partition: to.ID}},
	}}}
	req.Topics[0].Partitions[0].RecordSet.Reader = bytes.NewReader(set)
	m, err := w.send(w.t.Context(), req)
	require.NoError(w.t, err)
	code := kafkago.Error(m.(*produce.Response).Topics[0].Partitions[0].ErrorCode)
	if code == 0 {
		p.Sent(to, len(values))
	}
	return code
}

func (w *world) offsets(p *txn.Producer, next int64) error {
	if err := p.Join(w.ctx, group); err != nil {
		return err
	}
	return p.Offsets(w.ctx, txn.Offsets{
		Group: group, Generation: -1, Partition: schemas.Partition{Topic: "posts"}, Next: next, Metadata: "metadata",
	})
}

// visible returns what a read_committed consumer sees of results.
func (w *world) visible() []string {
	w.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.ConsumeTopics(results.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(20*time.Millisecond))
	require.NoError(w.t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 300*time.Millisecond)
	defer cancel()
	var got []string
	for ctx.Err() == nil {
		for _, r := range c.PollFetches(ctx).Records() {
			got = append(got, string(r.Value))
		}
	}
	return got
}

// committed returns the group's offset of posts/0, and its metadata.
func (w *world) committed() (int64, string) {
	w.t.Helper()
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.t.Context(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1, ""
	}
	require.NoError(w.t, err)
	at, ok := offsets.Lookup("posts", 0)
	if !ok {
		return -1, ""
	}
	return at.At, at.Metadata
}

// Records and offset become visible together; what is aborted never does.
func TestCommitAndAbort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open()
	var want []string
	other := schemas.Partition{Topic: "results", ID: 2}
	for i, commit := range []bool{true, false, true, true, false} {
		require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results, other}))
		name := string(rune('a' + i))
		require.Zero(t, w.produce(p, results, name+"1", name+"2"))
		require.Zero(t, w.produce(p, results, name+"3"))
		require.Zero(t, w.produce(p, other, name+"4"))
		before, _ := w.committed()
		require.NoError(t, w.offsets(p, int64(10+i)))
		at, _ := w.committed()
		require.Equal(t, before, at, "nothing moves before the end")
		require.NoError(t, p.End(t.Context(), commit))
		if commit {
			want = append(want, name+"1", name+"2", name+"3", name+"4")
			at, metadata := w.committed()
			require.Equal(t, int64(10+i), at)
			require.Equal(t, "metadata", metadata)
		} else {
			at, _ := w.committed()
			require.Equal(t, before, at)
		}
	}
	require.ElementsMatch(t, want, w.visible())
}

// A position moves without any record: a batch may hold none.
func TestOffsetsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open()
	require.NoError(t, p.Begin(t.Context(), nil))
	require.NoError(t, w.offsets(p, 7))
	require.NoError(t, p.End(t.Context(), true))
	at, _ := w.committed()
	require.Equal(t, int64(7), at)
}

// Opening again aborts what is pending and shuts the former holder out, of
// whatever it does next.
func TestOpenFences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	zombie := w.open()
	require.NoError(t, zombie.Begin(t.Context(), []schemas.Partition{results}))
	require.Zero(t, w.produce(zombie, results, "zombie"))
	require.NoError(t, w.offsets(zombie, 99))
	p := w.open()
	require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results}))
	require.Zero(t, w.produce(p, results, "owner"))

	for what, err := range map[string]error{
		"begin":   zombie.Begin(t.Context(), []schemas.Partition{results}),
		"offsets": w.offsets(zombie, 99),
		"commit":  zombie.End(t.Context(), true),
		"abort":   zombie.End(t.Context(), false),
	} {
		require.ErrorIs(t, err, kafkago.ProducerFenced, what)
		require.ErrorContains(t, err, "PRODUCER_FENCED (error 90)")
		require.ErrorContains(t, err, id)
	}
	require.Contains(t, []kafkago.Error{kafkago.InvalidProducerEpoch, kafkago.InvalidTransactionState}, w.produce(zombie, results, "zombie"))
	require.NoError(t, p.End(t.Context(), true))
	require.Equal(t, []string{"owner"}, w.visible())
	at, _ := w.committed()
	require.Equal(t, int64(-1), at)
}

// A batch that is sent again, because its answer was lost, is there once, and
// the next one follows it.
func TestRepeatedBatchIsThereOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open()
	require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results}))
	w.lose.Store(int32(protocol.Produce))
	set, err := recordset.Encode(make([]byte, 4), p.Options(results, 0), []recordset.Record{{Value: []byte("a")}, {Value: []byte("b")}})
	require.NoError(t, err)
	binary.BigEndian.PutUint32(set, uint32(len(set)-4))
	req := &rawproduce.Request{TransactionalID: id, Acks: -1, Timeout: 5000, Topics: []rawproduce.RequestTopic{{Topic: "results", Partitions: make([]rawproduce.RequestPartition, 1)}}}
	req.Topics[0].Partitions[0].RecordSet.Reader = bytes.NewReader(set)
	_, err = w.send(t.Context(), req)
	require.ErrorIs(t, err, errLost)
	require.Zero(t, w.produce(p, results, "a", "b"))
	require.Zero(t, w.produce(p, results, "c"))
	require.NoError(t, p.End(t.Context(), true))
	require.Equal(t, []string{"a", "b", "c"}, w.visible())
}

// refuse makes the broker answer the first n requests of a kind with code.
func (w *world) refuse(key kmsg.Key, code int16, n int32) *atomic.Int32 {
	var seen atomic.Int32
	w.cluster.ControlKey(int16(key), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if seen.Add(1) > n {
			return nil, nil, false
		}
		switch resp := kreq.ResponseKind().(type) {
		case *kmsg.FindCoordinatorResponse:
			resp.ErrorCode = code
			return resp, nil, true
		case *kmsg.InitProducerIDResponse:
			resp.ErrorCode = code
			return resp, nil, true
		case *kmsg.AddOffsetsToTxnResponse:
			resp.ErrorCode = code
			return resp, nil, true
		case *kmsg.EndTxnResponse:
			resp.ErrorCode = code
			return resp, nil, true
		case *kmsg.AddPartitionsToTxnResponse:
			resp.Topics = []kmsg.AddPartitionsToTxnResponseTopic{{Topic: "results", Partitions: []kmsg.AddPartitionsToTxnResponseTopicPartition{
				{Partition: 1, ErrorCode: kerr.OperationNotAttempted.Code}, {Partition: 0, ErrorCode: code},
			}}}
			return resp, nil, true
		case *kmsg.TxnOffsetCommitResponse:
			resp.Topics = []kmsg.TxnOffsetCommitResponseTopic{{Topic: "posts", Partitions: []kmsg.TxnOffsetCommitResponseTopicPartition{{ErrorCode: code}}}}
			return resp, nil, true
		}
		return nil, nil, false
	})
	return &seen
}

// steps are the requests of a transaction.
func (w *world) steps() map[kmsg.Key]func(p *txn.Producer) error {
	return map[kmsg.Key]func(p *txn.Producer) error{
		kmsg.FindCoordinator: func(*txn.Producer) error { _, err := w.tryOpen(time.Minute); return err },
		kmsg.InitProducerID:  func(*txn.Producer) error { _, err := w.tryOpen(time.Minute); return err },
		kmsg.AddPartitionsToTxn: func(p *txn.Producer) error {
			return p.Begin(w.t.Context(), []schemas.Partition{results, {Topic: "results", ID: 1}})
		},
		kmsg.AddOffsetsToTxn: func(p *txn.Producer) error { return w.offsets(p, 1) },
		kmsg.TxnOffsetCommit: func(p *txn.Producer) error { return w.offsets(p, 1) },
		kmsg.EndTxn:          func(p *txn.Producer) error { return p.End(w.t.Context(), true) },
	}
}

// What the coordinator cannot do yet is asked for again; what it will never
// do is an error at once, with the protocol's name.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  *kerr.Error
		later bool
	}{
		{kerr.ConcurrentTransactions, true},
		{kerr.CoordinatorLoadInProgress, true},
		{kerr.CoordinatorNotAvailable, true},
		{kerr.NotCoordinator, true},
		{kerr.ProducerFenced, false},
		{kerr.InvalidProducerEpoch, false},
		{kerr.InvalidTxnState, false},
		{kerr.InvalidProducerIDMapping, false},
		{kerr.UnknownProducerID, false},
		{kerr.OutOfOrderSequenceNumber, false},
		{kerr.TransactionalIDNotFound, false},
		{kerr.TransactionAbortable, false},
		{kerr.IllegalGeneration, false},
		{kerr.UnknownMemberID, false},
		{kerr.RebalanceInProgress, false},
	} {
		t.Run(c.code.Message, func(t *testing.T) {
			t.Parallel()
			for _, key := range []kmsg.Key{kmsg.FindCoordinator, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
				w := newWorld(t)
				p := w.open()
				require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results}))
				seen := w.refuse(key, c.code.Code, 3)
				err := w.steps()[key](p)
				if c.later {
					require.NoError(t, err, key.Name())
					require.Equal(t, int32(4), seen.Load(), key.Name())
					continue
				}
				require.ErrorIs(t, err, kafkago.Error(c.code.Code), key.Name())
				require.ErrorContains(t, err, c.code.Message, key.Name())
				require.ErrorContains(t, err, key.Name()[:6], "which request")
				require.Equal(t, int32(1), seen.Load(), key.Name())
			}
		})
	}
}

// A request without an answer is not sent again: see the package's
// documentation. What it did shows when the id is opened again.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.FindCoordinator, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.open()
			require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results}))
			require.Zero(t, w.produce(p, results, "once"))
			if key == kmsg.EndTxn {
				require.NoError(t, w.offsets(p, 5))
			}
			seen := w.refuse(key, 0, 0)
			w.lose.Store(int32(key))
			require.ErrorIs(t, w.steps()[key](p), errLost)
			require.Equal(t, int32(1), seen.Load())
			w.open()
			if at, _ := w.committed(); key == kmsg.EndTxn {
				require.Equal(t, int64(5), at)
				require.Equal(t, []string{"once"}, w.visible())
			} else {
				require.Equal(t, int64(-1), at)
				require.Empty(t, w.visible())
			}
		})
	}
}

// With several brokers the coordinator is found, also after it has moved.
func TestCoordinatorMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kfake.NumBrokers(3))
	p := w.open()
	for i := range 6 {
		require.NoError(t, p.Begin(w.ctx, []schemas.Partition{results}))
		require.Zero(t, w.produce(p, results, string(rune('a'+i))))
		w.cluster.RehashCoordinators()
		require.NoError(t, w.offsets(p, int64(i)))
		w.cluster.RehashCoordinators()
		require.NoError(t, p.End(w.ctx, true))
		w.cluster.RehashCoordinators()
		if i%2 == 1 {
			p = w.open()
		}
	}
	at, _ := w.committed()
	require.Equal(t, int64(5), at)
}

// A coordinator is looked up once, not before each request.
func TestCoordinatorsAreRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	looked := w.refuse(kmsg.FindCoordinator, 0, 0)
	p := w.open()
	for i := range 5 {
		require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results}))
		require.Zero(t, w.produce(p, results, "a"))
		require.NoError(t, w.offsets(p, int64(i)))
		require.NoError(t, p.End(t.Context(), true))
	}
	require.Equal(t, int32(2), looked.Load(), "the transaction's and the group's")
}

func TestTransactionThatLastsTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := w.tryOpen(time.Second)
	require.NoError(t, err)
	require.NoError(t, p.Begin(t.Context(), []schemas.Partition{results}))
	require.Zero(t, w.produce(p, results, "late"))
	time.Sleep(2 * time.Second)
	require.Error(t, p.End(t.Context(), true), "the broker has given it up")
	require.Empty(t, w.visible())
}

// What operators have to change is said.
func TestRemedies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.tryOpen(time.Hour)
	require.ErrorContains(t, err, "kafka.transaction_timeout: 1h0m0s")
	require.ErrorContains(t, err, "transaction.max.timeout.ms")
	w.refuse(kmsg.InitProducerID, kerr.TransactionalIDAuthorizationFailed.Code, 1)
	_, err = w.tryOpen(time.Minute)
	require.ErrorContains(t, err, `transactional ids that begin with "group/"`)

	old := newWorld(t, kfake.MaxVersions(kversion.V2_4_0()))
	p := old.open()
	require.ErrorIs(t, old.offsets(p, 1), txn.ErrTooOld, "it would take offsets from anybody")
}

// Waiting for a coordinator ends with the context.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := 0
	p, err := txn.Open(t.Context(), txn.Settings{ClientID: "test", Log: slog.New(slog.DiscardHandler), Send: func(ctx context.Context, req protocol.Message) (protocol.Message, error) {
		if req.ApiKey() != protocol.EndTxn {
			return w.send(ctx, req)
		}
		switch asked++; asked {
		case 1, 2:
		case 3:
			cancel(why)
		default:
			return &endtxn.Response{}, nil // it should have ended
		}
		return &endtxn.Response{ErrorCode: kerr.CoordinatorNotAvailable.Code}, nil
	}}, id, time.Minute)
	require.NoError(t, err)
	require.ErrorIs(t, p.End(ctx, true), why)
	require.Equal(t, 3, asked)
}
