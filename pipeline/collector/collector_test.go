package collector_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/schemas"
)

func TestRowsAreWhatWasCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	want := map[string]schemas.Collected{}
	for i := range 40 {
		p := w.pair(i)
		w.send(p)
		p.Schema = "" // of the record, not of the row
		want[p.ResultID] = p
	}
	w.drain()
	m, rows := w.contents()
	require.Len(t, rows, 40)
	for _, r := range rows {
		assert.Equal(t, want[r.Collected.ResultID], r.Collected)
		assert.Equal(t, picture(uint64(r.Collected.Input.Offset)), r.Image)
		assert.NotNil(t, r.ImageHash)
		assert.NotEmpty(t, r.TextHash)
	}
	assert.Len(t, m.Inputs, 3)
	card, err := os.ReadFile(filepath.Join(w.dir, "dataset", "README.md"))
	require.NoError(t, err)
	assert.Contains(t, string(card), "---\n")

	// Nothing new: nothing changes.
	w.drain()
	again, _ := w.contents()
	assert.Equal(t, m, again)
	w.send(w.pair(40))
	w.drain()
	_, rows = w.contents()
	assert.Len(t, rows, 41)
}

func TestWhatIsNoRowIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	missing, wrong, sensitive, reserved, undated := w.pair(1), w.pair(2), w.pair(3), w.pair(4), w.pair(5)
	missing.Image.Digest = digestOf([]byte("never put"))
	wrong.Image.Digest = digestOf([]byte("not an image"))
	require.NoError(t, w.store.Put(t.Context(), wrong.Image.Digest, []byte("not an image"), "image/png"))
	sensitive.Sensitive = new(true)
	reserved.OptOuts = []string{"noai"}
	undated.CollectedAt = time.Time{}
	same := w.pair(6)
	same.ResultID, same.PostID = "result-same", "post-same"
	w.send(missing, wrong, sensitive, reserved, undated, "no JSON", `{"schema":"collected.v9"}`, w.pair(6), same, w.pair(7))
	w.drain()
	m, rows := w.contents()
	assert.Equal(t, map[string]int{"result-6": 1, "result-7": 1}, ids(rows))
	assert.Equal(t, map[string]int64{
		collector.ImageMissing: 1, collector.ImageCorrupt: 1, collector.Sensitive: 1, collector.OptedOut: 1,
		collector.Malformed: 3, collector.Duplicate: 1,
	}, m.Dropped)

	// What the data set holds is known after a start, too.
	same.ResultID = "result-again"
	w.send(same)
	w.drain()
	m, rows = w.contents()
	assert.Len(t, rows, 2)
	assert.Equal(t, int64(2), m.Dropped[collector.Duplicate])
}

// What lies in the store under the digest of another image belongs to no row,
// and would be found by no takedown.
func TestImageThatIsNotWhatWasPutGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := w.pair(0)
	name := filepath.Join(w.dir, "images", p.Image.Digest[:2], p.Image.Digest)
	require.NoError(t, os.WriteFile(name, []byte("something else"), 0o600))
	old := time.Now().Add(-time.Minute)
	require.NoError(t, os.Chtimes(name, old, old))
	w.send(p)
	w.drain()
	m, _ := w.contents()
	assert.Equal(t, map[string]int64{collector.ImageCorrupt: 1}, m.Dropped)
	assert.NoFileExists(t, name)
}

func TestShardsEndAtRowsBytesAndDays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings []string
		shards   int
	}{
		"rows":  {[]string{"collect.shard_rows=3"}, 4},
		"bytes": {[]string{"collect.shard_bytes=1048576"}, 1},
		"days":  {nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, c.settings...)
			for i := range 10 {
				p := w.pair(i)
				if name == "days" && i >= 5 && i != 7 { // late ones stay where they are
					p.CollectedAt = moment.Add(24 * time.Hour)
				}
				w.send(p)
			}
			w.drain()
			m, rows := w.contents()
			assert.Len(t, rows, 10)
			require.Len(t, m.Shards, c.shards)
			for i, s := range m.Shards[1:] {
				assert.Equal(t, m.Shards[i].To, s.From)
			}
			if name == "days" {
				assert.Contains(t, m.Shards[0].Path, "data/day=2026-11-23/")
				assert.Contains(t, m.Shards[1].Path, "data/day=2026-11-24/")
			}
		})
	}
}

func TestTakedownsBeforeAndAfterTheShard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for i := range 10 {
		w.send(w.pair(i))
	}
	w.drain()
	w.send(w.pair(10), schemas.Takedown{Schema: schemas.TakedownSchema, PostID: "post-10", RequestedAt: moment})
	w.send(schemas.Takedown{Schema: schemas.TakedownSchema, PostID: "post-3", RequestedAt: moment})
	w.drain()
	_, rows := w.contents()
	got := ids(rows)
	assert.NotContains(t, got, "result-10")
	for i := range 10 {
		if name := fmt.Sprintf("result-%d", i); i == 3 {
			assert.NotContains(t, got, name)
		} else {
			assert.Contains(t, got, name)
		}
	}
}

// Retention that is quicker than the collector leaves a gap, and says so.
func TestRecordsThatWereDeletedBeforeTheyWereCollected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for i := range 3 {
		w.send(w.pair(i))
	}
	w.drain()
	before, _ := w.contents()
	for i := range 4 {
		w.send(w.pair(10 + i))
	}
	admin, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...))
	require.NoError(t, err)
	defer admin.Close()
	end := before.Inputs[0].To
	_, err = kadm.NewClient(admin).DeleteRecords(t.Context(), kadm.Offsets{
		w.cfg.Topics.Collected: {0: kadm.Offset{Topic: w.cfg.Topics.Collected, At: end + 2}},
	})
	require.NoError(t, err)
	w.drain()
	m, rows := w.contents()
	assert.Equal(t, map[string]int{"result-0": 1, "result-1": 1, "result-2": 1, "result-12": 1, "result-13": 1}, ids(rows))
	assert.Equal(t, []dataset.Gap{{From: end, To: end + 2}}, m.Inputs[0].Gaps)
}

// An image store that is away holds the partition up, and loses nothing.
// Ctrl-C ends the open shard meanwhile, up to the record that waits.
func TestWaitingForTheImageStoreAndStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "collect.shard_every=1h")
	for i := range 3 {
		w.send(w.pair(i))
	}
	// What cannot be read is not missing.
	third := filepath.Join(w.dir, "images", w.pair(2).Image.Digest[:2])
	require.NoError(t, os.Rename(third, third+".away"))
	require.NoError(t, os.WriteFile(third, nil, 0o600))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s, ended := w.settings(), make(chan error, 1)
	s.UntilIdle = false
	waiting := make(chan struct{})
	s.Log = slog.New(&tell{Handler: s.Log.Handler(), message: "waiting, and trying again", told: waiting})
	go func() { ended <- collector.Run(ctx, w.cfg, s) }()
	select {
	case <-waiting:
	case err := <-ended:
		t.Fatal(err)
	}
	stop()
	require.NoError(t, <-ended)
	_, rows := w.contents()
	assert.Equal(t, map[string]int{"result-0": 1, "result-1": 1}, ids(rows))

	require.NoError(t, os.Remove(third))
	require.NoError(t, os.Rename(third+".away", third))
	w.drain()
	_, rows = w.contents()
	assert.Len(t, rows, 3)
}

// tell closes a channel at a message.
type tell struct {
	slog.Handler
	message string
	told    chan struct{}
	once    sync.Once
}

func (h *tell) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.once.Do(func() { close(h.told) })
	}
	return h.Handler.Handle(ctx, r)
}

func (h *tell) WithAttrs([]slog.Attr) slog.Handler { return h }

func TestWhatIsMissingInTheConfiguration(t *testing.T) {
	t.Parallel()
	cfg := configOf(t)
	require.ErrorContains(t, collector.Run(t.Context(), cfg, collector.Settings{}), "collect.dataset is empty")
	cfg = configOf(t, "collect.images=file:///tmp/i", "collect.dataset=file:///tmp/d")
	require.ErrorContains(t, collector.Run(t.Context(), cfg, collector.Settings{}), "kafka.brokers is empty")
}
