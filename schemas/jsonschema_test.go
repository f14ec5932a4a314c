package schemas_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

var update = flag.Bool("update", false, "rewrite the JSON Schema files")

var shapes = map[string]any{
	schemas.PostSchema:    schemas.Post{},
	schemas.ResultSchema:  schemas.Result{},
	schemas.ClusterSchema: schemas.ClusterEvent{},

	schemas.CollectedSchema: schemas.Collected{},
	schemas.TakedownSchema:  schemas.Takedown{},
}

// generate makes a JSON Schema of a Go type, with the comments of the source
// as descriptions. Closed schemas allow no other fields; the published ones
// do, because later versions may add some.
func generate(t *testing.T, name string, shape any, closed bool) []byte {
	t.Helper()
	r := jsonschema.Reflector{ExpandedStruct: true, AllowAdditionalProperties: !closed}
	require.NoError(t, r.AddGoComments("github.com/itrstream/itrstream/schemas", "."))
	s := r.Reflect(shape)
	s.ID = jsonschema.ID("urn:itrstream:" + name)
	s.Title = name
	text, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	return append(text, '\n')
}

func compile(t *testing.T, name string, text []byte) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := validator.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, doc))
	s, err := c.Compile(name)
	require.NoError(t, err)
	return s
}

func validate(t *testing.T, s *validator.Schema, text []byte) error {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return s.Validate(doc)
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

func TestJSONSchemaFiles(t *testing.T) {
	t.Parallel()
	for name, shape := range shapes {
		want := generate(t, name, shape, false)
		if *update {
			require.NoError(t, os.WriteFile(name+".schema.json", want, 0o600))
			continue
		}
		got, err := schemas.JSONSchema(name)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "run go generate ./schemas")
	}
	_, err := schemas.JSONSchema("post.v9")
	assert.ErrorContains(t, err, "post.v9")
}

func TestResultsMatchSchema(t *testing.T) {
	t.Parallel()
	closed := compile(t, "closed", generate(t, schemas.ResultSchema, schemas.Result{}, true))
	b := labelled(t, memory.DefaultAllocator)
	defer b.Release()
	for row := range 2 {
		line := marshal(t, schemas.ResultAt(b, row, meta, schematest.Start))
		assert.NoError(t, validate(t, closed, line), "row %d", row)
	}

	var r map[string]any
	require.NoError(t, json.Unmarshal(marshal(t, schemas.ResultAt(b, 0, meta, schematest.Start)), &r))
	r["relation"] = "caption"
	assert.Error(t, validate(t, closed, marshal(t, r)))
}

func TestPostsMatchSchema(t *testing.T) {
	t.Parallel()
	text, err := schemas.JSONSchema(schemas.PostSchema)
	require.NoError(t, err)
	open := compile(t, "open", text)
	closed := compile(t, "closed", generate(t, schemas.PostSchema, schemas.Post{}, true))

	yes, at := true, time.Unix(1788257730, 0).UTC()
	full := schemas.Post{
		Schema: schemas.PostSchema, Source: "reddit", Op: schemas.OpUpdate, PostID: "t3_1", AuthorID: "a", CreatedAt: &at,
		Text: "Fog", Langs: []string{"en"}, Sensitive: &yes, ParentID: "t3_0",
		License: "CC-BY-4.0", OptOuts: []string{"noai"},
		Media:      []schemas.Media{{Kind: "image", Data: []byte("image")}, {URL: "https://media.example/a.jpg", Alt: "ridge"}},
		Provenance: &schemas.Provenance{URI: "https://reddit.example/1", Version: "2"},
	}
	assert.NoError(t, validate(t, closed, marshal(t, full)))

	for _, good := range []string{
		`{"schema":"post.v1","post_id":"1"}`, `{"schema":"post.v1","post_id":"1","text":null,"media":null,"sensitive":null}`,
		`{"schema":"post.v1","post_id":"1","a newer field":{}}`,
	} {
		assert.NoError(t, validate(t, open, []byte(good)), good)
	}
	for _, bad := range []string{
		`{}`, `{"schema":"post.v1"}`, `{"schema":"post.v2","post_id":"1"}`, `{"schema":"post.v1","post_id":""}`,
		`{"schema":"post.v1","post_id":"1","op":"upsert"}`, `{"schema":"post.v1","post_id":"1","text":1}`,
		`{"schema":"post.v1","post_id":"1","media":[{"url":1}]}`, `{"schema":"post.v1","post_id":"1","created_at":"today"}`,
	} {
		assert.Error(t, validate(t, open, []byte(bad)), bad)
	}
}

func TestClusterEventsMatchSchema(t *testing.T) {
	t.Parallel()
	closed := compile(t, "closed", generate(t, schemas.ClusterSchema, schemas.ClusterEvent{}, true))
	for _, e := range []schemas.ClusterEvent{
		{Type: "state", Cluster: "c1", Version: 3, Size: 10.5, Count: 12, Labels: &schemas.Scores{Both: 1}, Representatives: []string{"p"}},
		{Type: "born", Cluster: "c2", Parent: "c1", Overlap: 0.5},
		{Type: "retired", Cluster: "c1"},
		{Type: "alarm", Cluster: "c1", Novel: 0.25},
	} {
		e.Schema, e.ModelDigest, e.Namespace = schemas.ClusterSchema, "d", "n"
		assert.NoError(t, validate(t, closed, marshal(t, e)), e.Type)
	}
	assert.Error(t, validate(t, closed, []byte(`{"schema":"cluster.v1","type":"exploded","cluster":"c","version":1,"model_digest":"d","namespace":"n"}`)))
}
