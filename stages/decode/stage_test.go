package decode_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/decode"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// outcome is what decode makes of one record, for golden files.
type outcome struct {
	Outcome schemas.Outcome   `json:"outcome"`
	Reason  schemas.Reason    `json:"reason,omitempty"`
	Detail  string            `json:"detail,omitempty"`
	Post    json.RawMessage   `json:"post,omitempty"`
	Pairs   []json.RawMessage `json:"pairs,omitempty"`
}

// run decodes records as one batch and returns what became of each.
func run(t testing.TB, cfg decode.Config, records ...schematest.Record) []outcome {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, records...)
	defer b.Release()
	stage, err := decode.New(cfg, decode.Settings{Alloc: mem})
	require.NoError(t, err)
	require.NoError(t, stage.Process(t.Context(), b))
	return outcomes(t, b)
}

func outcomes(t testing.TB, b *schemas.Batch) []outcome {
	t.Helper()
	require.Equal(t, schemas.PairFields(), b.Pairs().Schema().Fields())
	var all []outcome
	used := 0
	for row := range int(b.Posts().NumRows()) {
		o := outcome{Outcome: schemas.OutcomeAt(b, row)}
		if r, ok := b.Rejected(row); ok {
			assert.Equal(t, "decode", r.Stage)
			o.Reason, o.Detail = r.Reason, r.Detail
		}
		fields := make(map[string]json.RawMessage)
		for _, f := range schemas.PostFields() {
			col := b.Posts().Column(b.Posts().Schema().FieldIndices(f.Name)[0])
			if col.IsValid(row) {
				v, err := json.Marshal(col.GetOneForMarshal(row))
				require.NoError(t, err)
				fields[f.Name] = v
			}
		}
		if len(fields) > 0 {
			post, err := json.Marshal(fields)
			require.NoError(t, err)
			o.Post = post
		}
		first, end := schemas.PairsOf(b, row)
		used += end - first
		for i := first; i < end; i++ {
			fields := make(map[string]any)
			for c, f := range b.Pairs().Schema().Fields() {
				if col := b.Pairs().Column(c); f.Name != schemas.PairPost && col.IsValid(i) {
					fields[f.Name] = col.GetOneForMarshal(i)
				}
			}
			pair, err := json.Marshal(fields)
			require.NoError(t, err)
			o.Pairs = append(o.Pairs, pair)
		}
		all = append(all, o)
	}
	require.EqualValues(t, b.Pairs().NumRows(), used, "pairs without a post")
	return all
}

func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.in.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, in := range files {
		t.Run(strings.TrimSuffix(filepath.Base(in), ".in.json"), func(t *testing.T) {
			t.Parallel()
			value, err := os.ReadFile(in)
			require.NoError(t, err)
			got, err := json.MarshalIndent(run(t, decode.DefaultConfig(), schematest.Record{Value: value})[0], "", "  ")
			require.NoError(t, err)
			got = append(got, '\n')
			golden := strings.TrimSuffix(in, ".in.json") + ".golden.json"
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(bytes.TrimSpace(want)), string(bytes.TrimSpace(got)))
		})
	}
}

// What names an author is replaced before anybody else sees it, in deletes too.
func TestAuthorsAreRenamed(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, schematest.Values(
		`{"schema":"post.v1","post_id":"at://SECRET/1","author_id":"SECRET","parent_id":"at://SECRET/0","provenance":{"uri":"at://SECRET/1"}}`,
		`{"schema":"post.v1","post_id":"1","op":"delete","author_id":"SECRET"}`,
		`{"did":"did:plc:SECRET","time_us":1,"kind":"commit","commit":{"operation":"create","collection":"app.bsky.feed.post","rkey":"3k",
		  "record":{"text":"x","reply":{"parent":{"uri":"at://did:plc:SECRET/app.bsky.feed.post/3j"}}}}}`,
		`{"did":"did:plc:SECRET","time_us":1,"kind":"commit","commit":{"operation":"delete","collection":"app.bsky.feed.post","rkey":"3k"}}`,
	)...)
	defer b.Release()
	hide := func(s string) string { return strings.ReplaceAll(s, "SECRET", "hidden") }
	stage, err := decode.New(decode.DefaultConfig(), decode.Settings{Alloc: mem, Author: hide, Address: hide})
	require.NoError(t, err)
	require.NoError(t, stage.Process(t.Context(), b))
	for row, o := range outcomes(t, b) {
		require.Contains(t, string(o.Post), "hidden", row)
		require.Contains(t, string(o.Post), schemas.PostAuthor, row)
		require.NotContains(t, string(o.Post), "SECRET", row)
	}
}
