package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

func private(t *testing.T, settings ...string) *privacy {
	t.Helper()
	cfg, err := config.Load("", nil, settings)
	require.NoError(t, err)
	p, err := newPrivacy(cfg.Privacy)
	require.NoError(t, err)
	return p
}

func emitted(t *testing.T, b *schemas.Batch) map[string][]kafka.Record {
	t.Helper()
	topics := config.Default().Topics
	topics.Moderation = "mod-queue"
	e := &emitter{topics: topics, meta: schemas.ResultMeta{KafkaCluster: "c"}, privacy: private(t), now: time.Now}
	records, err := e.records(b, nil, newJourney(t.Context(), nil, b))
	require.NoError(t, err)
	byTopic := map[string][]kafka.Record{}
	for _, r := range records {
		byTopic[r.Topic] = append(byTopic[r.Topic], r)
	}
	return byTopic
}

func TestEachRowBecomesOneOutcome(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := schematest.NewBatch(t, alloc,
		schematest.Record{Offset: 7, Key: []byte("key"), Value: []byte("v0")},
		schematest.Record{Offset: 9, Value: []byte("v1")},
		schematest.Record{Offset: 12, Key: []byte("key"), Value: []byte("v2"), Headers: []schematest.Header{{Key: "h", Value: []byte{0, 1}}, {Key: "none"}}},
	)
	defer b.Release()
	schematest.AddPosts(t, alloc, b, schemas.PostFields(),
		`{"post_op":"create","post_id":"p0","post_text":"hi"}`, `{"post_op":"delete","post_id":"p1"}`, `{}`)
	b.SetPairs(schematest.Rows(t, alloc, schemas.PairFields()))
	schematest.AddPosts(t, alloc, b, schemas.DecideFields(),
		`{"post_decisions":[{"rule":"a","topic":"moderation"},{"rule":"b","topic":"moderation"},{"rule":"c"},{"rule":"d","topic":"review"}]}`,
		`{}`, `{}`)
	b.Reject(2, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed, Detail: "why"})
	b.Events = []schemas.ClusterEvent{{Schema: schemas.ClusterSchema, Type: "state", Cluster: "k1"}}

	got := emitted(t, b)
	require.Len(t, got["results"], 2)
	require.Len(t, got["mod-queue"], 1, "two rules, one topic: one copy")
	require.Len(t, got["review"], 1)
	require.Len(t, got["deadletter"], 1)
	require.Len(t, got["clusters"], 1)

	result, tombstone := got["results"][0], got["results"][1]
	require.Equal(t, "p0", string(result.Key))
	var r schemas.Result
	require.NoError(t, json.Unmarshal(result.Value, &r))
	require.Len(t, r.Decisions, 4)
	require.Equal(t, result.Value, got["review"][0].Value)
	id := schemas.ResultID("c", b.Partition, 7)
	require.Equal(t, []kafka.Header{
		{Key: schemas.HeaderResultID, Value: []byte(id)}, {Key: schemas.HeaderInputKey, Value: []byte("key")},
	}, result.Headers)

	require.Equal(t, "p1", string(tombstone.Key))
	require.Nil(t, tombstone.Value)

	dead := got["deadletter"][0]
	require.Equal(t, "key", string(dead.Key))
	require.Equal(t, "v2", string(dead.Value))
	require.Equal(t, kafka.Header{Key: "h", Value: []byte{0, 1}}, dead.Headers[0])
	require.Equal(t, kafka.Header{Key: "none"}, dead.Headers[1])
	require.Contains(t, dead.Headers, kafka.Header{Key: schemas.HeaderReason, Value: []byte("malformed")})
	require.Contains(t, dead.Headers, kafka.Header{Key: schemas.HeaderSourceOffset, Value: []byte("12")})

	require.Equal(t, "k1", string(got["clusters"][0].Key))
}

// Records share pieces of memory, and none holds another's bytes.
func TestRecordsOfALargeBatch(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	var records []schematest.Record
	var posts []string
	for row := range 200 {
		text, err := json.Marshal(strings.Repeat("\x01fog ", 1<<(row%14))) // up to three pieces long
		require.NoError(t, err)
		records = append(records, schematest.Record{Offset: int64(row), Key: fmt.Appendf(nil, "key-%d", row), Value: []byte("v")})
		posts = append(posts, fmt.Sprintf(`{"post_op":"create","post_id":"p%d","post_text":%s,"post_langs":["en"]}`, row, text))
	}
	b := schematest.NewBatch(t, alloc, records...)
	defer b.Release()
	schematest.AddPosts(t, alloc, b, schemas.PostFields(), posts...)
	b.SetPairs(schematest.Rows(t, alloc, schemas.PairFields()))

	e := &emitter{meta: schemas.ResultMeta{KafkaCluster: "c"}, privacy: private(t), now: func() time.Time { return schematest.Start }}
	out, err := e.records(b, nil, newJourney(t.Context(), nil, b))
	require.NoError(t, err)
	require.Len(t, out, len(records))
	for row, r := range out {
		want := schemas.ResultAt(b, row, e.meta, schematest.Start)
		value, err := schemas.Encode(want)
		require.NoError(t, err)
		require.Equal(t, string(value), string(r.Value))
		require.Equal(t, want.PostID, string(r.Key))
		require.Equal(t, []kafka.Header{
			{Key: schemas.HeaderResultID, Value: []byte(want.ResultID)}, {Key: schemas.HeaderInputKey, Value: fmt.Appendf(nil, "key-%d", row)},
		}, r.Headers)
		require.Len(t, r.Value, cap(r.Value), "who appends to it writes into the next")
		require.Len(t, r.Key, cap(r.Key))
		require.Len(t, r.Headers, cap(r.Headers))
	}
}

// Whatever headers the input came with, all of them may be cut, and none of
// ours: the topic must take what is left.
func TestACutDeadLetterFits(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := schematest.NewBatch(t, alloc, schematest.Record{Offset: 3, Key: []byte("key"), Value: []byte("value"), Headers: []schematest.Header{
		{Key: schemas.HeaderReason, Value: []byte("forged")}, {Key: "large", Value: make([]byte, 1<<20)},
	}})
	defer b.Release()
	schematest.AddPosts(t, alloc, b, schemas.PostFields(), `{}`)
	b.Reject(0, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed})
	e := &emitter{topics: config.Default().Topics, now: time.Now}
	records, err := e.records(b, nil, newJourney(t.Context(), nil, b))
	require.NoError(t, err)
	cut := e.cutDeadLetters(records, deadLetterRoom+100)[0]
	require.Equal(t, "value", string(cut.Value))
	require.Len(t, cut.Headers, 1+schemas.DeadLetterHeaders+1)
	require.Equal(t, kafka.Header{Key: schemas.HeaderReason, Value: []byte("forged")}, cut.Headers[0])
	require.Equal(t, kafka.Header{Key: schemas.HeaderReason, Value: []byte("malformed")}, cut.Headers[1])
	require.Equal(t, kafka.HeaderCut, cut.Headers[len(cut.Headers)-1].Key)
}

// The input's key leaves in a header, unless it is the author's id.
func TestInputKeyIsNoAuthor(t *testing.T) {
	t.Parallel()
	const author = "did:plc:wireexample2222222222222"
	secret := "privacy.author_key=0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		settings  []string
		key, want string // of private(): want is what remains
	}{
		"another key":           {nil, "partition-7", "partition-7"},
		"dropped":               {nil, author, ""},
		"hashed":                {[]string{"privacy.authors=hash", secret}, author, "hmac-sha256:5de66105:Gp-Nmto-tzqiZe9rmMaUz9fZHU6cBMOe3X65ytG8qes"},
		"an address, kept":      {nil, "at://" + author + "/x", "at://" + author + "/x"},
		"an address, hashed":    {[]string{"privacy.addresses=hash", secret}, "at://" + author + "/x", "at://hmac-sha256:5de66105:Gp-Nmto-tzqiZe9rmMaUz9fZHU6cBMOe3X65ytG8qes/x"},
		"no address, all alike": {[]string{"privacy.addresses=hash", secret}, "partition-7", "partition-7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := private(t, c.settings...)
			require.NotContains(t, p.author(author), author)
			require.Equal(t, c.want, string(p.inputKey(p.author(author), []byte(c.key))))
			require.NotNil(t, p.inputKey(p.author(""), []byte("key")), "nobody's")
		})
	}
}

// Nothing and empty are not the same: a record without a value is a tombstone.
func TestEmptyIsNotNothing(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]schematest.Record{
		"empty":   {Key: []byte{}, Value: []byte{}, Headers: []schematest.Header{{Key: "h", Value: []byte{}}}},
		"nothing": {Headers: []schematest.Header{{Key: "h"}}},
	} {
		alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
		b := schematest.NewBatch(t, alloc, in)
		schematest.AddPosts(t, alloc, b, schemas.PostFields(), `{}`)
		b.Reject(0, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed})
		dead := emitted(t, b)["deadletter"][0]
		require.Equal(t, in.Key, dead.Key, name)
		require.Equal(t, in.Value, dead.Value, name)
		require.Equal(t, in.Headers[0].Value, dead.Headers[0].Value, name)
		b.Release()
		alloc.AssertSize(t, 0)
	}
}
