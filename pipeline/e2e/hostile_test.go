package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// noise returns 2·n hexadecimal digits, which gzip halves and lz4 does not:
// they come in below a topic's limit and are above it on the way out.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(7, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return []byte(hex.EncodeToString(b))
}

// TestRecordsThatNoTopicTakesAreCut sends records that cannot leave as they
// came: each becomes a dead letter that is cut and says so, and the partition
// goes on.
func TestRecordsThatNoTopicTakesAreCut(t *testing.T) {
	good, err := json.Marshal(schemas.Post{Schema: schemas.PostSchema, PostID: "huge", Text: "hello"})
	require.NoError(t, err)
	for name, huge := range map[string]*sent{
		"value":           {key: []byte("k"), value: noise(800 << 10), reason: schemas.ReasonTooLarge},
		"key":             {key: noise(800 << 10), value: []byte("nonsense"), reason: schemas.ReasonTooLarge},
		"key of a post":   {key: noise(800 << 10), value: good, reason: schemas.ReasonTooLarge},
		"header":          {key: []byte("k"), value: []byte("nonsense"), headers: map[string]string{"h": string(noise(800 << 10))}, reason: schemas.ReasonMalformed},
		"header and rest": {key: noise(20 << 10), value: noise(400 << 10), headers: map[string]string{"h": string(noise(400 << 10))}, reason: schemas.ReasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := embeddedServices(t)
			cfg := configure(t, s, tinyBundle, "topics.partitions=1", "topics.max_message_bytes=1048576", "decode.max_message_bytes=524288")
			o := newOracle(t, s.brokers, "posts")
			w := start(t, cfg)
			posts := newWriter(t, 7)
			o.produce(posts.many(20)...)
			huge.outcome = schemas.OutcomeDeadLetter
			o.produce(huge)
			o.produce(posts.many(20)...)
			got := o.wait(patience)
			w.end(t)

			dead := got.deadLetters[place{huge.partition, huge.offset}]
			require.NotEmpty(t, dead)
			size := len(huge.key) + len(huge.value)
			for k, v := range huge.headers {
				size += len(k) + len(v)
			}
			require.Equal(t, strconv.Itoa(size), header(dead[0], kafka.HeaderCut))
			require.Equal(t, huge.key[:len(dead[0].Key)], dead[0].Key)
			require.Equal(t, huge.value[:len(dead[0].Value)], dead[0].Value)
			require.Equal(t, string(huge.reason), header(dead[0], schemas.HeaderReason))
			o.sent = slices.DeleteFunc(o.sent, func(s *sent) bool { return s == huge })
			o.judge(got, true)
		})
	}
}

// TestAChainThatFailsWhileItsSourceWaitsForRoom has batches fill the queue
// behind a fold that waits for Redis, which then has lost everything: the
// partition must be claimed again, though its source waits for room that the
// failed chain holds.
func TestAChainThatFailsWhileItsSourceWaitsForRoom(t *testing.T) {
	s := embeddedServices(t)
	mini := miniredis.NewMiniRedis()
	require.NoError(t, mini.StartAddr("127.0.0.1:0"))
	t.Cleanup(mini.Close)
	s.redis = mini.Addr()
	cfg := configure(t, s, tinyBundle, "topics.partitions=1", "queue.max_bytes=1048576", "batch.max_rows=1")
	o := newOracle(t, s.brokers, "posts")
	w := start(t, cfg)
	picture := newWriter(t, 7).images[0]
	post := func(id string, extra int) *sent {
		value, err := json.Marshal(schemas.Post{
			Schema: schemas.PostSchema, PostID: id, Text: "hello",
			Media: []schemas.Media{{Data: append(slices.Clone(picture), noise(extra/2)...)}},
		})
		require.NoError(t, err)
		return &sent{key: []byte(id), value: value, post: id, outcome: schemas.OutcomeResult, images: []int{0}}
	}
	o.produce(post("a", 0))
	for o.emitted() < 1 {
		time.Sleep(20 * time.Millisecond)
	}
	mini.SetError("LOADING by the test")
	o.produce(post("b", 0), post("c", 250<<10), post("d", 250<<10), post("e", 0))
	time.Sleep(2 * time.Second) // for the source to be waiting
	mini.FlushAll()
	mini.SetError("")
	got := o.wait(20 * time.Second)
	w.end(t)
	o.judge(got, true)
}

// corpus is stages/decode's collection of hostile messages: what to send, and
// what must come of it.
func corpus(t *testing.T) []*sent {
	t.Helper()
	const dir = "../../stages/decode/testdata/hostile"
	lines, err := os.ReadFile(filepath.Join(dir, "expected.jsonl"))
	require.NoError(t, err)
	var all []*sent
	for line := range bytes.Lines(lines) {
		var entry struct {
			File    string
			Key     []byte
			Outcome schemas.Outcome
			Reason  schemas.Reason
			Post    string
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		s := &sent{key: entry.Key, outcome: entry.Outcome, reason: entry.Reason, post: entry.Post}
		if entry.File != "" {
			value, err := os.ReadFile(filepath.Join(dir, entry.File))
			require.NoError(t, err)
			s.value = append([]byte{}, value...)
		}
		all = append(all, s)
	}
	return all
}

// TestHostileMessages sends the whole corpus among good posts: each entry ends
// where it must, a dead letter with the bytes that were sent, and the posts
// around it as if it were not there.
func TestHostileMessages(t *testing.T) {
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, "batch.max_rows=32",
		"decode.max_message_bytes=32768", "decode.max_text_bytes=1024", "decode.max_images=4", "decode.max_image_bytes=8192")
	o := newOracle(t, s.brokers, "posts")
	w := start(t, cfg)
	posts := newWriter(t, 7)
	entries := corpus(t)
	entries[0].headers = make(map[string]string)
	for i := range 2000 {
		entries[0].headers["h"+strconv.Itoa(i)] = strings.Repeat("x", i%50)
	}
	entries[1].headers = map[string]string{"": "", "\xff\xfe": "no text", "\u202e\x00": "\x00", strings.Repeat("n", 9000): "a long name"}
	for i, entry := range entries {
		o.produce(entry)
		if i%8 == 0 {
			o.produce(posts.many(1)...)
		}
	}
	o.produce(posts.many(20)...)
	got := o.wait(patience)
	w.end(t)
	o.judge(got, false)

	// The judge compares bytes; so does whoever sends them again: by digest.
	dead := 0
	for _, in := range entries {
		for _, r := range got.deadLetters[place{in.partition, in.offset}] {
			require.Equal(t, sha256.Sum256(in.value), sha256.Sum256(r.Value))
			require.Equal(t, in.value == nil, r.Value == nil, "a null value and an empty one are two things")
			dead++
		}
	}
	require.Greater(t, dead, 100)
}

// TestHostileImages sends posts with the images of stages/media's corpus: one
// that is read is labelled, any other makes its post a dead letter.
func TestHostileImages(t *testing.T) {
	const dir = "../../stages/media/testdata/hostile"
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, "media.max_bytes=32768", "media.max_pixels=4194304", "media.max_side=4096", "media.decode_pixels=8388608")
	o := newOracle(t, s.brokers, "posts")
	w := start(t, cfg)
	lines, err := os.ReadFile(filepath.Join(dir, "expected.jsonl"))
	require.NoError(t, err)
	var posts []*sent
	for line := range bytes.Lines(lines) {
		var entry struct {
			File   string
			Reason schemas.Reason
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		data, err := os.ReadFile(filepath.Join(dir, entry.File))
		require.NoError(t, err)
		value, err := json.Marshal(schemas.Post{
			Schema: schemas.PostSchema, PostID: entry.File, Text: "hello", Media: []schemas.Media{{Data: data}},
		})
		require.NoError(t, err)
		in := &sent{key: []byte(entry.File), value: value, post: entry.File, outcome: schemas.OutcomeResult, images: []int{0}}
		if entry.Reason != "" {
			in.outcome, in.reason, in.images = schemas.OutcomeDeadLetter, schemas.ReasonMediaFailed, nil
		}
		posts = append(posts, in)
	}
	o.produce(posts...)
	got := o.wait(patience)
	w.end(t)
	o.judge(got, false)
}
