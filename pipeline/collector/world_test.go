package collector_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/connectors/kafka"
	embeddedkafka "github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

var moment = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// world is a broker, an image store and a data set of one test.
type world struct {
	t      *testing.T
	dir    string
	args   []string // what cfg is made of
	cfg    config.Config
	client *kafka.Client
	store  *images.Store
}

func newWorld(t *testing.T, partitions int, settings ...string) *world {
	t.Helper()
	broker, err := embeddedkafka.Start(embeddedkafka.DefaultConfig())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	dir := t.TempDir()
	w := &world{t: t, dir: dir}
	w.args = append([]string{
		"kafka.brokers=" + strings.Join(broker.Addrs(), ","),
		"collect.images=file://" + dir + "/images",
		"collect.dataset=file://" + dir + "/dataset",
		fmt.Sprintf("topics.partitions=%d", partitions),
		"kafka.fetch_max_wait=20ms", "kafka.heartbeat_interval=100ms", "kafka.session_timeout=6s", "kafka.rebalance_timeout=6s",
		"shutdown.timeout=2s", "ops.addr=",
	}, settings...)
	w.cfg = configOf(t, w.args...)
	w.client, err = kafka.Dial(t.Context(), w.cfg.Kafka, kafka.Settings{})
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	_, err = w.client.EnsureTopics(t.Context(), []kafka.TopicSpec{{
		Name: w.cfg.Topics.Collected, Partitions: partitions, Configs: [][2]string{{"max.message.bytes", "16777216"}},
	}}, true)
	require.NoError(t, err)
	b, err := bucket.Open(t.Context(), w.cfg.Collect.Images)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	w.store = images.New(b, time.Now)
	return w
}

func configOf(t *testing.T, settings ...string) config.Config {
	t.Helper()
	cfg, err := config.Load("", nil, settings)
	require.NoError(t, err)
	return cfg
}

// picture is an image that no other looks like, unless of the same seed.
func picture(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	im := image.NewRGBA(image.Rect(0, 0, 32, 32))
	for y := 0; y < 32; y += 4 {
		for x := 0; x < 32; x += 4 {
			c := color.RGBA{uint8(rng.UintN(256)), uint8(rng.UintN(256)), uint8(rng.UintN(256)), 255}
			for i := range 16 {
				im.SetRGBA(x+i%4, y+i/4, c)
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, im); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// words is a text that no other is like, unless of the same seed.
func words(seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 2))
	var all []string
	for range 12 {
		all = append(all, fmt.Sprintf("w%06d", rng.UintN(1_000_000)))
	}
	return strings.Join(all, " ")
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pair is the i-th record; its image is in the store afterwards.
func (w *world) pair(i int) schemas.Collected {
	w.t.Helper()
	data := picture(uint64(i))
	digest := digestOf(data)
	require.NoError(w.t, w.store.Put(w.t.Context(), digest, data, "image/png"))
	return schemas.Collected{
		Schema: schemas.CollectedSchema, ResultID: fmt.Sprintf("result-%d", i), PostID: fmt.Sprintf("post-%d", i), Source: "test",
		Text:     words(uint64(i)),
		Image:    schemas.CollectedImage{Digest: digest, Bytes: int64(len(data)), MIME: "image/png"},
		Relation: "both", Scores: [4]float64{0, 0, 0, 1}, TextIsRepresented: 1, ImageAdds: 1,
		Selected: schemas.Selected{Reason: "rate", Probability: 0.5}, Model: schemas.ModelRef{Name: "m"}, ConfigDigest: "c",
		Input: schemas.Input{Topic: "posts", Offset: int64(i)}, CollectedAt: moment,
	}
}

func (w *world) send(values ...any) {
	w.t.Helper()
	var records []kafka.Record
	for _, v := range values {
		r := kafka.Record{Topic: w.cfg.Topics.Collected, Partition: kafka.ByKey}
		switch v := v.(type) {
		case schemas.Collected:
			r.Key = []byte(v.PostID)
		case schemas.Takedown:
			r.Key = []byte(v.PostID)
		case string:
			r.Value = []byte(v)
		}
		if r.Value == nil {
			var err error
			r.Value, err = schemas.Encode(v)
			require.NoError(w.t, err)
		}
		records = append(records, r)
	}
	require.NoError(w.t, w.client.Produce(w.t.Context(), records))
}

func (w *world) settings() collector.Settings {
	return collector.Settings{
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Now: time.Now, Alloc: memory.DefaultAllocator, UntilIdle: true,
	}
}

// drain collects everything that the topic holds.
func (w *world) drain() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	require.NoError(w.t, collector.Run(ctx, w.cfg, w.settings()))
	require.NoError(w.t, ctx.Err(), "it took longer than a minute")
}

func (w *world) folder() *dataset.Folder {
	w.t.Helper()
	f, err := dataset.Open(w.t.Context(), w.cfg.Collect.Dataset)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, f.Close()) })
	return f
}

// contents holds every shard against the manifest and returns all rows; no
// file may be there that the manifest does not name.
func (w *world) contents() (dataset.Manifest, []dataset.Row) {
	w.t.Helper()
	f := w.folder()
	m, err := f.ReadManifest(w.t.Context())
	require.NoError(w.t, err)
	named := map[string]bool{}
	var rows []dataset.Row
	for _, s := range m.Shards {
		named[s.Path] = true
		content, err := os.ReadFile(filepath.Join(w.dir, "dataset", filepath.FromSlash(s.Path)))
		require.NoError(w.t, err)
		sum := sha256.Sum256(content)
		require.Equal(w.t, s.SHA256, hex.EncodeToString(sum[:]))
		require.Equal(w.t, s.Bytes, int64(len(content)))
		r, err := f.Shard(w.t.Context(), s.Path, memory.DefaultAllocator)
		require.NoError(w.t, err)
		require.Equal(w.t, s.Rows, r.NumRows())
		for row, err := range r.Rows(w.t.Context()) {
			require.NoError(w.t, err)
			rows = append(rows, row)
		}
	}
	require.Equal(w.t, m.Rows, int64(len(rows)))
	require.NoError(w.t, filepath.WalkDir(filepath.Join(w.dir, "dataset"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		require.NotContains(w.t, path, ".tmp")
		name, err := filepath.Rel(filepath.Join(w.dir, "dataset"), path)
		require.True(w.t, !strings.HasPrefix(name, "data") || named[filepath.ToSlash(name)], "orphan %s", name)
		return err
	}))
	return m, rows
}

// ids counts the rows by result.
func ids(rows []dataset.Row) map[string]int {
	all := map[string]int{}
	for _, r := range rows {
		all[r.Collected.ResultID]++
	}
	return all
}
