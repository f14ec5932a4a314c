package schemas_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

var meta = schemas.ResultMeta{
	Authors:      true,
	KafkaCluster: "cluster-a",
	Model:        schemas.ModelRef{Name: "itr-mini", Version: "1.0.0", Digest: "d1"},
	ConfigDigest: "c1",
}

// labelled is a batch of four posts that every stage has seen: one with two
// good pairs and a failed one, one without an image, a delete, a reject.
func labelled(tb testing.TB, alloc memory.Allocator) *schemas.Batch {
	tb.Helper()
	b := schematest.Decoded(tb, alloc, []string{
		`{"post_source":"bluesky","post_op":"create","post_id":"p0","post_author_id":"a0","post_created_at":"2026-09-01T10:15:29.900Z",
		  "post_text":"Fog \u202e ☁️","post_langs":["en","de"],"post_sensitive":false,"post_parent_id":"p9","post_uri":"at://p0","post_version":"v1"}`,
		`{"post_op":"update","post_id":"p1","post_text":"words only"}`,
		`{"post_op":"delete","post_id":"p2"}`,
		`{}`,
	}, []string{
		`{"pair_post":0,"pair_index":0,"pair_url":"https://media.example/0.jpg","pair_alt":"a ridge"}`,
		`{"pair_post":0,"pair_index":2}`,
		`{"pair_post":0,"pair_index":3,"pair_url":"https://media.example/3.jpg"}`,
	})
	b.Reject(3, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed, Detail: "byte 0"})
	schematest.AddPairs(tb, alloc, b, schemas.MediaFields(1)[1:],
		`{"pair_digest":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`,
		`{"pair_digest":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`,
		`{"pair_failure":"unreachable","pair_failure_detail":"status 404"}`)
	schematest.AddPairs(tb, alloc, b, schemas.InferFields(2),
		`{"pair_scores":[0.1,0.5,0.25,0.15],"pair_text_is_represented":0.4,"pair_image_adds":0.65,"pair_similarity":-0.125,"pair_embedding":[1,0]}`,
		`{"pair_scores":[0.05,0.05,0.07,0.83],"pair_text_is_represented":0.9,"pair_image_adds":0.88,"pair_similarity":0.25,"pair_embedding":[0,1]}`,
		`{}`)
	schematest.AddPairs(tb, alloc, b, schemas.ClusterFields(),
		`{"pair_cluster":"c7","pair_cluster_status":"assigned","pair_distance":0.5,"pair_novelty":true,"pair_centroid_version":12}`,
		`{"pair_cluster_status":"bootstrapping"}`,
		`{}`)
	schematest.AddPosts(tb, alloc, b, schemas.DecideFields(),
		`{"post_decisions":[{"rule":"odd","topic":"review"},{"rule":"bad","error":"no such key"}]}`, `{}`, `{}`, `{}`)
	b.Timings = schemas.Timings{Decode: 1500 * time.Microsecond, Infer: 4 * time.Millisecond}
	return b
}

func TestResultAt(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	b := labelled(t, mem)

	r := schemas.ResultAt(b, 0, meta, schematest.Start.Add(7*time.Millisecond))
	got, err := json.MarshalIndent(r, "", " ")
	require.NoError(t, err)
	b.Release()
	assert.JSONEq(t, `{
	 "schema":"result.v1","result_id":"`+schemas.ResultID("cluster-a", schematest.Partition, 0)+`","status":"labelled",
	 "source":"bluesky","op":"create","post_id":"p0","author_id":"a0","created_at":"2026-09-01T10:15:29.9Z","text":"Fog \u202e ☁️",
	 "langs":["en","de"],"sensitive":false,"parent_id":"p9","uri":"at://p0","version":"v1",
	 "relation":"both","confidence":0.83,
	 "pairs":[
	  {"index":0,"url":"https://media.example/0.jpg","alt":"a ridge","digest":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	   "relation":"image_adds","confidence":0.5,"scores":{"neither":0.1,"image_adds":0.5,"text_represented":0.25,"both":0.15},
	   "text_is_represented":0.4,"image_adds":0.65,"similarity":-0.125,
	   "cluster":"c7","cluster_status":"assigned","distance":0.5,"novel":true,"centroid_version":12},
	  {"index":2,"digest":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	   "relation":"both","confidence":0.83,"scores":{"neither":0.05,"image_adds":0.05,"text_represented":0.07,"both":0.83},
	   "text_is_represented":0.9,"image_adds":0.88,"similarity":0.25,"cluster":null,"cluster_status":"bootstrapping"},
	  {"index":3,"url":"https://media.example/3.jpg","cluster":null,"failure":"unreachable","failure_detail":"status 404"}],
	 "decisions":[{"rule":"odd","topic":"review"},{"rule":"bad","error":"no such key"}],
	 "model":{"name":"itr-mini","version":"1.0.0","digest":"d1"},"config_digest":"c1",
	 "input":{"topic":"posts","partition":3,"offset":0,"time":"2026-09-01T10:15:30.25Z"},
	 "timings_ms":{"decode":1.5,"media":0,"infer":4,"cluster":0,"total":7}}`, string(got))
}

func TestResultAtBeforeLaterStages(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.Decoded(t, mem,
		[]string{`{"post_op":"create","post_id":"p","post_text":""}`},
		[]string{`{"pair_post":0,"pair_index":0}`})
	defer b.Release()

	r := schemas.ResultAt(b, 0, meta, schematest.Start)
	assert.Equal(t, schemas.StatusLabelled, r.Status)
	assert.Equal(t, []schemas.Pair{{Index: 0}}, r.Pairs)
	assert.Empty(t, r.Relation)
	assert.Zero(t, r.Confidence)
	assert.Nil(t, r.Decisions)
}

func TestResultWithoutImage(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := labelled(t, mem)
	defer b.Release()

	r := schemas.ResultAt(b, 1, meta, schematest.Start)
	assert.Equal(t, schemas.StatusNoImage, r.Status)
	got, err := json.Marshal(r)
	require.NoError(t, err)
	assert.Contains(t, string(got), `"pairs":[]`)
	assert.NotContains(t, string(got), `"relation"`)
	assert.NotContains(t, string(got), `"confidence"`)
}

func TestOutcomeAt(t *testing.T) {
	t.Parallel()
	b := labelled(t, memory.DefaultAllocator)
	defer b.Release()
	want := []schemas.Outcome{
		schemas.OutcomeResult, schemas.OutcomeResult, schemas.OutcomeTombstone, schemas.OutcomeDeadLetter,
	}
	for row, w := range want {
		assert.Equal(t, w, schemas.OutcomeAt(b, row), "row %d", row)
	}
}

func TestPairsOf(t *testing.T) {
	t.Parallel()
	b := schematest.Decoded(t, memory.DefaultAllocator, []string{`{}`, `{}`, `{}`, `{}`}, []string{
		`{"pair_post":1,"pair_index":0}`, `{"pair_post":3,"pair_index":0}`, `{"pair_post":3,"pair_index":1}`,
	})
	defer b.Release()
	for row, want := range [][2]int{{0, 0}, {0, 1}, {1, 1}, {1, 3}} {
		first, end := schemas.PairsOf(b, row)
		assert.Equal(t, want, [2]int{first, end}, "row %d", row)
	}
}
