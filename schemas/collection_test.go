package schemas_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

func collected() schemas.Collected {
	yes, cluster := true, "c7"
	return schemas.Collected{
		Schema: schemas.CollectedSchema, ResultID: "r1", Pair: 2, PostID: "p1", Source: "reddit", AuthorID: "hmac-sha256:00000000:x",
		CreatedAt: schematest.Start, Langs: []string{"en"}, Sensitive: &yes, Text: "Fog <&> ☁️", Alt: "a ridge", URI: "https://reddit.example/1?a&b",
		License: "CC-BY-4.0", OptOuts: []string{"noai"},
		Image: schemas.CollectedImage{
			Digest: strings.Repeat("0123456789abcdef", 4), Bytes: 12345, MIME: "image/png", URL: "https://media.example/a.png",
		},
		Relation: "both", Scores: [schemas.Relations]float64{0.05, 0.05, 0.07, 0.83}, TextIsRepresented: 0.9, ImageAdds: 0.88, Similarity: -0.25,
		Cluster: &cluster, Novel: &yes, Selected: schemas.Selected{Reason: "rule:fog", Probability: 0.125},
		Model: meta.Model, ConfigDigest: "c1", Input: schemas.Input{Topic: "posts", Partition: 3, Offset: 41, Time: schematest.Start},
		CollectedAt: schematest.Start.Add(time.Second),
	}
}

func TestCollectionComesBack(t *testing.T) {
	t.Parallel()
	want := collected()
	value, err := schemas.Encode(want)
	require.NoError(t, err)
	require.Contains(t, string(value), "Fog <&> ☁️", "JSON as it is")
	got, none, err := schemas.ReadCollection(value)
	require.NoError(t, err)
	require.Nil(t, none)
	require.Equal(t, &want, got)

	for _, want := range []schemas.Takedown{
		{PostID: "p1"}, {AuthorID: "hmac-sha256:00000000:x", Media: true},
	} {
		want.Schema, want.RequestedAt = schemas.TakedownSchema, schematest.Start
		value, err := schemas.Encode(want)
		require.NoError(t, err)
		row, got, err := schemas.ReadCollection(value)
		require.NoError(t, err)
		require.Nil(t, row)
		require.Equal(t, &want, got)
	}
}

func TestCollectionMatchesSchemas(t *testing.T) {
	t.Parallel()
	closed := compile(t, "closed", generate(t, schemas.CollectedSchema, schemas.Collected{}, true))
	assert.NoError(t, validate(t, closed, marshal(t, collected())))
	least := schemas.Collected{
		Schema: schemas.CollectedSchema, ResultID: "r", PostID: "p", Relation: "neither", Scores: [schemas.Relations]float64{1},
		Image:    schemas.CollectedImage{Digest: strings.Repeat("a", 64), Bytes: 1, MIME: "image/gif"},
		Selected: schemas.Selected{Reason: "rate", Probability: 1e-6},
	}
	assert.NoError(t, validate(t, closed, marshal(t, least)))
	assert.NoError(t, least.Check())

	takedowns := compile(t, "takedowns", generate(t, schemas.TakedownSchema, schemas.Takedown{}, true))
	for text, good := range map[string]bool{
		`{"schema":"takedown.v1","post_id":"p","requested_at":"2026-09-01T10:15:30Z"}`:              true,
		`{"schema":"takedown.v1","author":"a","media":true,"requested_at":"2026-09-01T10:15:30Z"}`:  true,
		`{"schema":"takedown.v1","requested_at":"2026-09-01T10:15:30Z"}`:                            false,
		`{"schema":"takedown.v1","post_id":"p","author":"a","requested_at":"2026-09-01T10:15:30Z"}`: false,
		`{"schema":"takedown.v1","post_id":"","requested_at":"2026-09-01T10:15:30Z"}`:               false,
	} {
		_, _, err := schemas.ReadCollection([]byte(text))
		if good {
			assert.NoError(t, validate(t, takedowns, []byte(text)), text)
			assert.NoError(t, err, text)
		} else {
			assert.Error(t, validate(t, takedowns, []byte(text)), text)
			assert.ErrorIs(t, err, schemas.ErrNotCollection, text)
		}
	}
}

func TestReadCollectionRefuses(t *testing.T) {
	t.Parallel()
	for want, edit := range map[string]func(map[string]any){
		"schema":               func(m map[string]any) { m["schema"] = "collected.v2" },
		"result_id":            func(m map[string]any) { delete(m, "result_id") },
		"post_id":              func(m map[string]any) { m["post_id"] = "" },
		"pair":                 func(m map[string]any) { m["pair"] = -1 },
		"image.digest":         func(m map[string]any) { m["image"].(map[string]any)["digest"] = "../../secret" },
		"lower case":           func(m map[string]any) { m["image"].(map[string]any)["digest"] = strings.Repeat("A", 64) },
		"image.bytes":          func(m map[string]any) { m["image"].(map[string]any)["bytes"] = 0 },
		"relation":             func(m map[string]any) { m["relation"] = "unknown" },
		"selected.probability": func(m map[string]any) { m["selected"].(map[string]any)["probability"] = 0 },
		"Go struct field":      func(m map[string]any) { m["text"] = 7 },
	} {
		var fields map[string]any
		require.NoError(t, json.Unmarshal(marshal(t, collected()), &fields))
		edit(fields)
		_, _, err := schemas.ReadCollection(marshal(t, fields))
		assert.ErrorIs(t, err, schemas.ErrNotCollection, want)
		assert.ErrorContains(t, err, want)
	}
	for _, value := range []string{"", "null", "[]", `{"schema":7}`, "{"} {
		_, _, err := schemas.ReadCollection([]byte(value))
		assert.ErrorIs(t, err, schemas.ErrNotCollection, "%q", value)
	}
}

// FuzzReadCollection checks that what is read is whole, and is read the same
// again after it was written.
func FuzzReadCollection(f *testing.F) {
	value, err := schemas.Encode(collected())
	require.NoError(f, err)
	f.Add(value)
	f.Add([]byte(`{"schema":"takedown.v1","post_id":"p","requested_at":"2026-09-01T10:15:30Z"}`))
	f.Add([]byte(`{"schema":"collected.v1","image":{"digest":"../x"}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		row, takedown, err := schemas.ReadCollection(value)
		if err != nil {
			require.Nil(t, row)
			require.Nil(t, takedown)
			return
		}
		require.NotEqual(t, row == nil, takedown == nil)
		var again []byte
		if row != nil {
			require.NoError(t, row.Check())
			again, err = schemas.Encode(row)
		} else {
			again, err = schemas.Encode(takedown)
		}
		require.NoError(t, err)
		row2, takedown2, err := schemas.ReadCollection(again)
		require.NoError(t, err)
		third, err := schemas.Encode(map[bool]any{true: row2, false: takedown2}[row != nil])
		require.NoError(t, err)
		require.Equal(t, string(again), string(third))
	})
}
