package decode_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/decode"
)

// post returns a post.v1 with more members behind the required ones.
func post(more string) string { return `{"schema":"post.v1","post_id":"1"` + more + `}` }

// commit returns a legacy event that creates a post.
func commit(record string) string {
	return `{"did":"did:plc:a","kind":"commit","commit":{"operation":"create","collection":"app.bsky.feed.post","rkey":"r","cid":"c","record":` + record + `}}`
}

func embed(image string) string {
	return commit(`{"text":"","embed":{"$type":"app.bsky.embed.images","images":[` + image + `]}}`)
}

func TestHostile(t *testing.T) {
	t.Parallel()
	const (
		malformed = schemas.ReasonMalformed
		unknown   = schemas.ReasonSchemaUnknown
		tooLarge  = schemas.ReasonTooLarge
	)
	limits := decode.DefaultConfig()
	limits.MaxMessageBytes = 1 << 20
	limits.MaxTextBytes = 20
	limits.MaxImages = 2
	limits.MaxImageBytes = 6

	tests := []struct {
		name, value string
		reason      schemas.Reason
		detail      string
	}{
		// What is no JSON object.
		{"empty", "", malformed, "byte 0: the text ends here: want a value"},
		{"not JSON", "hello", malformed, "byte 0: want a value"},
		{"binary", "\x00\x00\x00\x04\x12{}", malformed, "byte 0: want a value"},
		{"invalid UTF-8", post(",\"text\":\"\xc3\x28\""), malformed, "byte 42: invalid UTF-8"},
		{"array", `[]`, malformed, "want an object, found an array"},
		{"string", `"post.v1"`, malformed, "want an object, found a string"},
		{"null", `null`, malformed, "want an object, found null"},
		{"two objects", post("") + post(""), malformed, "byte 34: more text after the value"},
		{"cut", post("")[:20], malformed, "byte 20: the text ends here: want a string"},
		{"cut in text", post(`,"text":"so sa`)[:46], malformed, "byte 46: the text ends here: want the end of a string (in text)"},
		{"duplicated field", post(`,"text":"a","text":"b"`), malformed, `byte 45: duplicated name "text"`},
		{"duplicated by escape", post(`,"p\u006fst_id":"2"`), malformed, `byte 34: duplicated name "post_id"`},
		{"duplicated deep in unknown", post(`,"x":[{"y":1,"y":2}]`), malformed, `byte 46: duplicated name "y"`},
		{"NUL in text", post(`,"text":"a\u0000b"`), malformed, "byte 43: the character U+0000 (in text)"},
		{"lone surrogate in text", post(`,"text":"\ud83c"`), malformed, "byte 42: lone surrogate (in text)"},
		{"depth bomb", post(`,"x":` + strings.Repeat("[", 1<<19)), malformed, "byte 101: nested deeper than 64"},
		{"number overflow", post(`,"width":1e400`), malformed, "byte 42: number out of range"},
		{"integer overflow", post(`,"width":99999999999999999999`), malformed, "byte 42: number out of range"},

		// What is no schema of ours.
		{"no shape", `{}`, unknown, "neither a schema field nor a Jetstream event"},
		{"no schema", `{"post_id":"1","text":"a"}`, unknown, "neither a schema field nor a Jetstream event"},
		{"schema null", `{"schema":null,"post_id":"1"}`, unknown, `schema: absent, want "post.v1"`},
		{"schema number", `{"schema":1,"post_id":"1"}`, malformed, "schema: want a string, found a number at byte 10"},
		{"schema that may be text", `{"schema":"so sad","post_id":"1"}`, unknown, `schema: is not "post.v1"`},
		{"result", `{"schema":"result.v1","post_id":"1"}`, unknown, `schema: "result.v1" is not "post.v1"`},

		// Fields of post.v1.
		{"no id", `{"schema":"post.v1"}`, malformed, "post_id: absent or empty"},
		{"empty id", `{"schema":"post.v1","post_id":""}`, malformed, "post_id: absent or empty"},
		{"id null", `{"schema":"post.v1","post_id":null}`, malformed, "post_id: absent or empty"},
		{"id number", `{"schema":"post.v1","post_id":7}`, malformed, "post_id: want a string, found a number at byte 30"},
		{"delete without id", `{"schema":"post.v1","op":"delete"}`, malformed, "post_id: absent or empty"},
		{"op", post(`,"op":"upsert"`), malformed, `op: "upsert" is not create, update or delete`},
		{"op that may be text", post(`,"op":"so sad"`), malformed, "op: is not create, update or delete"},
		{"text", post(`,"text":["a"]`), malformed, "text: want a string, found an array at byte 41"},
		{"sensitive", post(`,"sensitive":"no"`), malformed, "sensitive: want a boolean, found a string at byte 46"},
		{"langs", post(`,"langs":"en"`), malformed, "langs: want an array, found a string at byte 42"},
		{"lang", post(`,"langs":["en",5]`), malformed, "langs[1]: want a string, found a number at byte 48"},
		{"lang null", post(`,"langs":[null]`), malformed, "langs[0]: want a string, found null at byte 43"},
		{"created_at", post(`,"created_at":"yesterday"`), malformed, "created_at: not an RFC 3339 time at byte 47"},
		{"created_at number", post(`,"created_at":1788257730`), malformed, "created_at: want a string, found a number at byte 47"},
		{"provenance", post(`,"provenance":{"uri":1}`), malformed, "provenance.uri: want a string, found a number at byte 54"},
		{"media", post(`,"media":{}`), malformed, "media: want an array, found an object at byte 42"},
		{"medium", post(`,"media":[null]`), malformed, "media[0]: want an object, found null at byte 43"},
		{"kind", post(`,"media":[{},{"kind":1}]`), malformed, "media[1].kind: want a string, found a number at byte 54"},
		{"url", post(`,"media":[{"url":{}}]`), malformed, "media[0].url: want a string, found an object at byte 50"},
		{"data", post(`,"media":[{"data":[1,2]}]`), malformed, "media[0].data: want a string, found an array at byte 51"},

		// Base64.
		{"bad base64", post(`,"media":[{"data":"aGV*"}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"bad base64 beyond a vector", post(`,"media":[{"data":"` + strings.Repeat("A", 99) + `*"}]`), tooLarge, "media[0].data: more than 6 bytes"},
		{"unpadded", post(`,"media":[{"data":"aGVsbG8"}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"loose bits", post(`,"media":[{"data":"aGVsbG9="}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"URL alphabet", post(`,"media":[{"data":"_-8="}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"padding only", post(`,"media":[{"data":"===="}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"padding inside", post(`,"media":[{"data":"aA==aA=="}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"escaped line break", post(`,"media":[{"data":"aGVs\nbG8="}]`), malformed, "media[0].data: bad base64 in the string at byte 51"},
		{"raw line break", post(",\"media\":[{\"data\":\"aG\nVs\r\n\n\"}]"), malformed, "byte 54: control character in a string (in media)"},
		{"data URL of text", post(`,"media":[{"url":"data:text/plain,hi"}]`), malformed, "media[0].url: bad base64 in the string at byte 50"},
		{"data URL without comma", post(`,"media":[{"url":"data:image/png;base64"}]`), malformed, "media[0].url: bad base64 in the string at byte 50"},
		{"data URL, bad base64", post(`,"media":[{"url":"data:image/png;base64,a"}]`), malformed, "media[0].url: bad base64 in the string at byte 50"},
		{"data URL, bad type", post(`,"media":[{"url":"data:\u0069mage/\u0001;base64,aGVsbG8="}]`), malformed, "media[0].url: bad base64 in the string at byte 50"},
		{"raw control character in a data URL", post(",\"media\":[{\"url\":\"data:\x01;base64,aGVsbG8=\"}]"), malformed, "byte 56: control character in a string (in media)"},

		{"bad escape in a data URL", post(`,"media":[{"url":"data:\x;base64,aGVsbG8="}]`), malformed, "byte 56: unknown escape (in media)"},

		// Limits.
		{"message", post(`,"x":"` + strings.Repeat("x", 1<<20) + `"`), tooLarge, "the message has 1048617 bytes, more than 1048576"},
		{"long text", post(`,"text":"` + strings.Repeat("x", 21) + `"`), tooLarge, "text: 21 bytes, more than 20"},
		{"long texts", post(`,"text":"` + strings.Repeat("x", 11) + `","media":[{"alt":"` + strings.Repeat("y", 10) + `"}]`), tooLarge, "text and alternative texts have 21 bytes, more than 20"},
		{"three images", post(`,"media":[{},{"kind":"video"},{},{}]`), tooLarge, "3 images, more than 2"},
		{"image", post(`,"media":[{"data":"MTIzNDU2Nw=="}]`), tooLarge, "media[0].data: more than 6 bytes"},
		{"image in a URL", post(`,"media":[{"url":"data:;base64,MTIzNDU2Nw=="}]`), tooLarge, "media[0].url: more than 6 bytes"},
		{"long id", `{"schema":"post.v1","post_id":"` + strings.Repeat("x", 1025) + `"}`, tooLarge, "post_id: 1025 bytes, more than 1024"},
		{"long url", post(`,"media":[{"url":"` + strings.Repeat("x", 8193) + `"}]`), tooLarge, "media[0].url: 8193 bytes, more than 8192"},
		{"many langs", post(`,"langs":["a"` + strings.Repeat(`,"a"`, 32) + `]`), tooLarge, "langs: more than 32"},

		// Jetstream.
		{"no kind", `{"did":"did:plc:a"}`, unknown, "a Jetstream event has a kind or a $type"},
		{"kind number", `{"did":"did:plc:a","kind":7}`, malformed, "kind: want a string, found a number at byte 26"},
		{"no commit", `{"did":"did:plc:a","kind":"commit"}`, malformed, "collection: absent"},
		{"commit", `{"did":"did:plc:a","kind":"commit","commit":[]}`, malformed, "commit: want an object, found an array at byte 44"},
		{"strange type", `{"$type":"com.example.post"}`, unknown, `$type: "com.example.post": not an event of Jetstream v2`},
		{"strange payload", `{"$type":"message","payload":{"$type":"com.example#commit"}}`, unknown, `$type: "message": not an event of Jetstream v2`},
		{"operation", strings.Replace(commit(`{"text":""}`), "create", "resync", 1), malformed, `commit.operation: "resync" is not create, update or delete`},
		{"did", strings.Replace(commit(`{"text":""}`), "did:plc:a", "did:plc:../x", 1), malformed, "did: absent or not a DID"},
		{"rkey", strings.Replace(commit(`{"text":""}`), `"rkey":"r"`, `"rkey":"a/b"`, 1), malformed, "commit.rkey: absent or not a record key"},
		{"record", commit(`null`), malformed, "record: absent"},
		{"record list", commit(`[]`), malformed, "record: want an object, found an array at byte 130"},
		{"another record", commit(`{"$type":"app.bsky.feed.like"}`), malformed, `record.$type: "app.bsky.feed.like" is not "app.bsky.feed.post"`},
		{"record without text", commit(`{}`), malformed, "record.text: absent"},
		{"record text", commit(`{"text":1}`), malformed, "record.text: want a string, found a number at byte 138"},
		{"record langs", commit(`{"text":"","langs":["en",1]}`), malformed, "record.langs[1]: want a string, found a number at byte 155"},
		{"record label", commit(`{"text":"","labels":{"values":[{"val":{}}]}}`), malformed, "record.labels.values[0].val: want a string, found an object at byte 168"},
		{"record parent", commit(`{"text":"","reply":{"parent":{"uri":1}}}`), malformed, "record.reply.parent.uri: want a string, found a number at byte 166"},
		{"cid in a path", embed(`{"image":{"ref":{"$link":"../../x"}}}`), malformed, "record.embed.images[0]: not a CID"},
		{"cid number", embed(`{"image":{"cid":1}}`), malformed, "record.embed.images[0].image.cid: want a string, found a number at byte 208"},
		{"images", strings.Replace(embed(``), "[]", "7", 1), malformed, "record.embed.images: want an array, found a number at byte 191"},
		{"Bluesky images", embed(`{},{},{}`), tooLarge, "3 images, more than 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Neighbours show that a fault stays in its row.
			good := []byte(post(`,"media":[{"data":"Z29vZA=="}]`))
			got := run(t, limits,
				schematest.Record{Offset: 0, Value: good},
				schematest.Record{Offset: 7, Value: []byte(tt.value)},
				schematest.Record{Offset: 8, Value: good})
			assert.Equal(t, outcome{Outcome: schemas.OutcomeDeadLetter, Reason: tt.reason, Detail: tt.detail}, got[1])
			for _, row := range []int{0, 2} {
				require.Equal(t, schemas.OutcomeResult, got[row].Outcome)
				require.Len(t, got[row].Pairs, 1)
				assert.JSONEq(t, `{"pair_index":0,"pair_image":"Z29vZA=="}`, string(got[row].Pairs[0]))
			}
		})
	}
}

func TestStrangeButGood(t *testing.T) {
	t.Parallel()
	text := "\u202eevil\u202c a\u200bb \ufeff e\u0301 \ud55c 👩‍👩‍👧 \u0001\t\r\n\\\" ￿"
	quoted := strings.NewReplacer("\\", `\\`, `"`, `\"`, "\t", `\t`, "\r", `\r`, "\n", `\n`, "\u0001", `\u0001`).Replace(text)
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, schematest.Values(post(`,"text":"`+quoted+`"`), commit(`{"text":"`+quoted+`"}`))...)
	defer b.Release()
	stage, err := decode.New(decode.DefaultConfig(), decode.Settings{Alloc: mem})
	require.NoError(t, err)
	require.NoError(t, stage.Process(t.Context(), b))
	for row := range 2 {
		assert.Equal(t, text, schemas.Col[*array.String](b.Posts(), schemas.PostText).Value(row))
	}
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	deleted := func(id string) outcome {
		return outcome{Outcome: schemas.OutcomeTombstone, Post: []byte(`{"post_id":"` + id + `","post_op":"delete"}`)}
	}
	letter := func(reason schemas.Reason, detail string) outcome {
		return outcome{Outcome: schemas.OutcomeDeadLetter, Reason: reason, Detail: detail}
	}
	tests := []struct {
		name string
		key  []byte
		want outcome
	}{
		{"key", []byte("t3_1"), deleted("t3_1")},
		{"longest", []byte(strings.Repeat("x", 1024)), deleted(strings.Repeat("x", 1024))},
		{"none", nil, letter(schemas.ReasonMalformed, "a record without value and key names no post to delete")},
		{"empty", []byte{}, letter(schemas.ReasonMalformed, "a record without value and key names no post to delete")},
		{"not text", []byte("a\xff"), letter(schemas.ReasonMalformed, "key: invalid UTF-8")},
		{"NUL", []byte("a\x00"), letter(schemas.ReasonMalformed, "key: byte 1: the character U+0000")},
		{"long", []byte(strings.Repeat("x", 1025)), letter(schemas.ReasonTooLarge, "key: 1025 bytes, more than 1024")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, []outcome{tt.want}, run(t, decode.DefaultConfig(), schematest.Record{Key: tt.key}))
		})
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	native, jetstream := post(`,"kind":"a field of a newer producer"`), commit(`{"text":"a"}`)
	for format, want := range map[string][2]schemas.Reason{
		decode.FormatAuto:      {"", ""},
		decode.FormatPost:      {"", schemas.ReasonSchemaUnknown},
		decode.FormatJetstream: {schemas.ReasonNotAPost, ""},
	} {
		cfg := decode.DefaultConfig()
		cfg.Format = format
		got := run(t, cfg, schematest.Values(native, jetstream)...)
		assert.Equal(t, want, [2]schemas.Reason{got[0].Reason, got[1].Reason}, format)
	}
}

func TestStrayMediaInEvent(t *testing.T) {
	t.Parallel()
	event := strings.Replace(embed(`{"image":{"cid":"b"}}`), "{", `{"media":[{"data":"c3RyYXk="}],`, 1)
	got := run(t, decode.DefaultConfig(), schematest.Values(event, post(`,"media":[{"data":"Z29vZA=="}]`))...)
	assert.JSONEq(t, `{"pair_index":0,"pair_url":"https://cdn.bsky.app/img/feed_fullsize/plain/did:plc:a/b@jpeg"}`, string(got[0].Pairs[0]))
	assert.JSONEq(t, `{"pair_index":0,"pair_image":"Z29vZA=="}`, string(got[1].Pairs[0]))
}

func TestBase64LikeStandardLibrary(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		image := make([]byte, n)
		for i := range image {
			image[i] = byte(i * 37)
		}
		encoded := base64.StdEncoding.EncodeToString(image)
		got := run(t, decode.DefaultConfig(), schematest.Values(
			post(fmt.Sprintf(`,"media":[{"data":"%s"},{"url":"data:image/png;base64,%s"}]`, encoded, encoded)),
		)...)
		if n == 0 {
			require.JSONEq(t, `{"pair_index":0}`, string(got[0].Pairs[0]), "no bytes are no image")
			continue
		}
		require.JSONEq(t, fmt.Sprintf(`{"pair_index":0,"pair_image":%q}`, encoded), string(got[0].Pairs[0]))
		require.JSONEq(t, fmt.Sprintf(`{"pair_index":1,"pair_image":%q}`, encoded), string(got[0].Pairs[1]))
	}
}

func TestProcessAgain(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, schematest.Values(post(`,"media":[{"data":"Z29vZA=="}]`), "bad")...)
	defer b.Release()
	stage, err := decode.New(decode.DefaultConfig(), decode.Settings{Alloc: mem})
	require.NoError(t, err)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, stage.Process(cancelled, b), context.Canceled)
	require.False(t, schemas.Has(b.Posts(), schemas.PostID), "columns are added on success only")
	require.Nil(t, b.Pairs())

	require.NoError(t, stage.Process(t.Context(), b))
	first := outcomes(t, b)
	require.NoError(t, stage.Process(t.Context(), b))
	assert.Equal(t, first, outcomes(t, b))
}

func TestNullsAreCounted(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, schematest.Values(post(`,"media":[{},{"data":"Z29vZA=="},{"url":"https://media.example/a.jpg"}]`))...)
	defer b.Release()
	stage, err := decode.New(decode.DefaultConfig(), decode.Settings{Alloc: mem})
	require.NoError(t, err)
	require.NoError(t, stage.Process(t.Context(), b))
	assert.Equal(t, 2, schemas.Col[*array.Binary](b.Pairs(), schemas.PairImage).NullN())
}

func TestEmptyBatch(t *testing.T) {
	t.Parallel()
	assert.Empty(t, run(t, decode.DefaultConfig()))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, decode.DefaultConfig().Validate())
	_, err := decode.New(decode.Config{Format: "avro", MaxTextBytes: -1, MaxImages: 1, MaxImageBytes: 1, BlueskyCDN: "ftp://x"}, decode.Settings{})
	assert.EqualError(t, err, `decode: format: "avro" is not one of auto, post, jetstream
max_message_bytes: 0 is not between 1024 and 1073741824
max_text_bytes: -1 is not between 1 and 16777216
bluesky_cdn: "ftp://x" is not an http or https URL without query`)
}
