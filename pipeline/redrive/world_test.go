package redrive_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/redrive"
	"github.com/itrstream/itrstream/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Kafka with dead letters, seen through a client that is not ours.
type world struct {
	t       *testing.T
	brokers []string
	client  *kgo.Client
	broker  *lossy
}

func newWorld(t *testing.T) *world {
	t.Helper()
	l := &lossy{}
	l.key.Store(-1)
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.SeedTopics(3, "posts", "others"), kfake.SeedTopics(2, "deadletter"),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			inner, err := net.Listen(network, address)
			l.Listener = inner
			return l, err
		}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &world{t: t, brokers: cluster.ListenAddrs(), client: client, broker: l}
}

func (w *world) config(settings ...string) config.Config {
	w.t.Helper()
	cfg, err := config.Load("", nil, append([]string{"kafka.brokers=" + w.brokers[0], "kafka.fetch_max_wait=20ms"}, settings...))
	require.NoError(w.t, err)
	return cfg
}

// dead is a dead letter to be written.
type dead struct {
	reason, stage string
	source        string
	partition     int32
	offset        int64
	key, value    []byte
	headers       []kgo.RecordHeader // the input's own
	cut           bool
	at            time.Time
	in            int32 // partition of the dead-letter topic
}

func (d dead) record() *kgo.Record {
	h := func(key string, value any) kgo.RecordHeader {
		return kgo.RecordHeader{Key: key, Value: fmt.Append(nil, value)}
	}
	r := &kgo.Record{Topic: "deadletter", Partition: d.in, Key: d.key, Value: d.value, Timestamp: d.at}
	r.Headers = append(r.Headers, d.headers...)
	r.Headers = append(r.Headers, h(schemas.HeaderReason, d.reason), h(schemas.HeaderDetail, "why"), h(schemas.HeaderStage, d.stage),
		h(schemas.HeaderSourceTopic, d.source), h(schemas.HeaderSourcePartition, d.partition), h(schemas.HeaderSourceOffset, d.offset))
	if d.cut {
		r.Headers = append(r.Headers, h(kafka.HeaderCut, 12345))
	}
	return r
}

func (w *world) write(letters ...dead) {
	w.t.Helper()
	for _, d := range letters {
		require.NoError(w.t, w.client.ProduceSync(w.t.Context(), d.record()).FirstErr())
	}
}

// read returns what committed readers see of a topic.
func (w *world) read(topic string) []*kgo.Record {
	w.t.Helper()
	ends, err := kadm.NewClient(w.client).ListCommittedOffsets(w.t.Context(), topic)
	require.NoError(w.t, err)
	require.NoError(w.t, ends.Error())
	left := map[int32]int64{}
	ends.Each(func(e kadm.ListedOffset) {
		if e.Offset > 0 {
			left[e.Partition] = e.Offset
		}
	})
	c, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a log may end with one
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(20*time.Millisecond))
	require.NoError(w.t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		require.NoError(w.t, fetches.Err0())
		for _, r := range fetches.Records() {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return all
}

func (w *world) open(o redrive.Options, set redrive.Settings, settings ...string) *redrive.Redrive {
	w.t.Helper()
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 3
	}
	set.Now = time.Now
	if set.Log == nil {
		set.Log = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	}
	r, err := redrive.Open(w.t.Context(), w.config(settings...), o, set)
	require.NoError(w.t, err)
	w.t.Cleanup(r.Close)
	return r
}

// execute sends, and returns how many.
func (w *world) execute(o redrive.Options, settings ...string) int {
	w.t.Helper()
	_, sent, err := w.open(o, redrive.Settings{}, settings...).Execute(w.t.Context())
	require.NoError(w.t, err)
	return sent
}

// fingerprint hashes all that a producer has written: partition, key, value
// and headers, nothing and empty told apart.
func fingerprint(partition int32, key, value []byte, headers []kgo.RecordHeader) string {
	h := sha256.New()
	put := func(b []byte) {
		n := int64(len(b))
		if b == nil {
			n = -1
		}
		_ = binary.Write(h, binary.BigEndian, n)
		h.Write(b)
	}
	_ = binary.Write(h, binary.BigEndian, partition)
	put(key)
	put(value)
	for _, x := range headers {
		put([]byte(x.Key))
		put(x.Value)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func header(r *kgo.Record, key string) string {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}

// many returns n dead letters of all shapes, and the fingerprints of their inputs, sorted.
func many(n int) ([]dead, []string) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(most int) []byte {
		b := make([]byte, r.IntN(most))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	var letters []dead
	var prints []string
	for i := range n {
		d := dead{
			reason: "malformed", stage: "decode", source: "posts", partition: int32(r.IntN(3)), offset: int64(1000 + i), in: int32(i % 2),
			key: noise(20), value: noise(2000),
		}
		if i%3 == 0 {
			d.reason, d.stage = "media_failed", "media"
		}
		switch i % 7 {
		case 0:
			d.key = nil
		case 1:
			d.key = []byte{}
		case 2:
			d.value = []byte{}
		case 3:
			d.value = nil
		case 4: // what a producer may call its own headers
			for _, forged := range []string{
				schemas.HeaderReason, schemas.HeaderSourceTopic, schemas.HeaderRedriven, schemas.HeaderRedriveOf, schemas.HeaderRedriveAttempt, "h", "h",
			} {
				d.headers = append(d.headers, kgo.RecordHeader{Key: forged, Value: noise(9)})
			}
		case 5:
			d.headers = []kgo.RecordHeader{{Key: "", Value: nil}, {Key: "none"}, {Key: "empty", Value: []byte{}}}
		}
		letters = append(letters, d)
		prints = append(prints, fingerprint(d.partition, d.key, d.value, d.headers))
	}
	slices.Sort(prints)
	return letters, prints
}

// prints are the fingerprints of what came back, without the two headers that a
// redrive adds, sorted.
func prints(t *testing.T, records []*kgo.Record) []string {
	t.Helper()
	var out []string
	for _, r := range records {
		n := len(r.Headers) - 2
		require.Equal(t, schemas.HeaderRedriveAttempt, r.Headers[n].Key)
		require.Equal(t, schemas.HeaderRedriveOf, r.Headers[n+1].Key)
		out = append(out, fingerprint(r.Partition, r.Key, r.Value, r.Headers[:n]))
	}
	slices.Sort(out)
	return out
}
