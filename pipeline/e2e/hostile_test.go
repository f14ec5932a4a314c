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

	"github.com/itrstream/itrstream/pipeline/oracle"
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
	for name, huge := range map[string]*oracle.Post{
		"value":           {Key: []byte("k"), Value: noise(800 << 10), Reason: schemas.ReasonTooLarge},
		"key":             {Key: noise(800 << 10), Value: []byte("nonsense"), Reason: schemas.ReasonTooLarge},
		"key of a post":   {Key: noise(800 << 10), Value: good, Reason: schemas.ReasonTooLarge},
		"header":          {Key: []byte("k"), Value: []byte("nonsense"), Headers: [][2]string{{"h", string(noise(800 << 10))}}, Reason: schemas.ReasonMalformed},
		"header and rest": {Key: noise(20 << 10), Value: noise(400 << 10), Headers: [][2]string{{"h", string(noise(400 << 10))}}, Reason: schemas.ReasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := embeddedServices(t)
			cfg := configure(t, s, tinyBundle, "topics.partitions=1", "topics.max_message_bytes=1048576", "decode.max_message_bytes=524288")
			o := observe(t, s)
			w := start(t, cfg)
			posts := oracle.NewWriter(7)
			o.produce(posts.Many(20)...)
			huge.Outcome, huge.Cut = schemas.OutcomeDeadLetter, true
			o.produce(huge)
			o.produce(posts.Many(20)...)
			o.wait()
			w.end(t)
			o.judge(cfg, oracle.Rules{})
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
	o := observe(t, s)
	w := start(t, cfg)
	picture := oracle.NewWriter(7).Image(0)
	post := func(id string, extra int) *oracle.Post {
		value, err := json.Marshal(schemas.Post{
			Schema: schemas.PostSchema, PostID: id, Text: "hello",
			Media: []schemas.Media{{Data: append(slices.Clone(picture), noise(extra/2)...)}},
		})
		require.NoError(t, err)
		return &oracle.Post{Key: []byte(id), Value: value, Post: id, Outcome: schemas.OutcomeResult, Images: []int{0}}
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
	o.wait()
	w.end(t)
	o.judge(cfg, oracle.Rules{Rollback: true})
}

// corpus is stages/decode's collection of hostile messages: what to send, and
// what must come of it.
func corpus(t *testing.T) []*oracle.Post {
	t.Helper()
	const dir = "../../stages/decode/testdata/hostile"
	lines, err := os.ReadFile(filepath.Join(dir, "expected.jsonl"))
	require.NoError(t, err)
	var all []*oracle.Post
	for line := range bytes.Lines(lines) {
		var entry struct {
			File    string
			Key     []byte
			Outcome schemas.Outcome
			Reason  schemas.Reason
			Post    string
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		s := &oracle.Post{Key: entry.Key, Outcome: entry.Outcome, Reason: entry.Reason, Post: entry.Post}
		if entry.File != "" {
			value, err := os.ReadFile(filepath.Join(dir, entry.File))
			require.NoError(t, err)
			s.Value = append([]byte{}, value...)
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
	o := observe(t, s)
	w := start(t, cfg)
	posts := oracle.NewWriter(7)
	// A trace that would outgrow the topics of what comes of its post: headers of
	// versions to come may be longer than ours.
	traced := posts.Many(1)[0]
	for ; traced.Outcome != schemas.OutcomeResult; traced = posts.Many(1)[0] {
		o.produce(traced)
	}
	traced.Headers = [][2]string{{"traceparent", "01-" + strings.Repeat("a", 32) + "-" + strings.Repeat("a", 16) + "-01-" + string(noise(256<<10))}}
	o.produce(traced)
	entries := corpus(t)
	for i := range 2000 {
		entries[0].Headers = append(entries[0].Headers, [2]string{"h" + strconv.Itoa(i), strings.Repeat("x", i%50)})
	}
	entries[1].Headers = [][2]string{{"", ""}, {"\xff\xfe", "no text"}, {"\u202e\x00", "\x00"}, {strings.Repeat("n", 9000), "a long name"}}
	for i, entry := range entries {
		o.produce(entry)
		if i%8 == 0 {
			o.produce(posts.Many(1)...)
		}
	}
	o.produce(posts.Many(20)...)
	o.wait()
	w.end(t)
	o.judge(cfg, oracle.Rules{})

	// The judge compares bytes; so does whoever sends them again: by digest.
	dead := 0
	for _, in := range entries {
		for _, r := range o.Records(in) {
			if r.Topic != oracle.DefaultTopics.DeadLetters {
				continue
			}
			require.Equal(t, sha256.Sum256(in.Value), sha256.Sum256(r.Value))
			require.Equal(t, in.Value == nil, r.Value == nil, "a null value and an empty one are two things")
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
	o := observe(t, s)
	w := start(t, cfg)
	lines, err := os.ReadFile(filepath.Join(dir, "expected.jsonl"))
	require.NoError(t, err)
	var posts []*oracle.Post
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
		in := &oracle.Post{Key: []byte(entry.File), Value: value, Post: entry.File, Outcome: schemas.OutcomeResult, Images: []int{0}}
		if entry.Reason != "" {
			in.Outcome, in.Reason, in.Images = schemas.OutcomeDeadLetter, schemas.ReasonMediaFailed, nil
		}
		posts = append(posts, in)
	}
	o.produce(posts...)
	o.wait()
	w.end(t)
	o.judge(cfg, oracle.Rules{})
}
