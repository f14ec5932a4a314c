package decode_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/decode"
)

// FuzzDecode feeds any bytes, between two good posts, and checks that each
// record has one outcome that makes sense and that nothing leaks. What it
// accepts as post.v1, encoding/json must read the same way.
func FuzzDecode(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.in.json")
	require.NoError(f, err)
	for _, name := range seeds {
		value, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(value, []byte("key"), false)
	}
	for _, r := range recipes() {
		f.Add(r.value, r.Key, r.null)
	}
	f.Add([]byte(nil), []byte("t3_1"), true)
	f.Add([]byte("\x00\x00\x00\x04\x12{}"), []byte("\xff"), false)

	cfg := decode.DefaultConfig()
	cfg.MaxTextBytes, cfg.MaxImages, cfg.MaxImageBytes = 200, 4, 100
	good := []byte(post(`,"media":[{"data":"Z29vZA=="}]`))
	f.Fuzz(func(t *testing.T, value, key []byte, null bool) {
		record := schematest.Record{Offset: 1, Key: key, Value: value}
		if record.Value == nil {
			record.Value = []byte{}
		}
		if null {
			record.Value = nil
		}
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		defer mem.AssertSize(t, 0)
		b := schematest.NewBatch(t, mem, schematest.Record{Value: good}, record, schematest.Record{Offset: 2, Value: good})
		defer b.Release()
		stage, err := decode.New(cfg, decode.Settings{Alloc: mem})
		require.NoError(t, err)
		require.NoError(t, stage.Process(t.Context(), b))

		got := outcomes(t, b)
		for _, row := range []int{0, 2} {
			require.JSONEq(t, `{"pair_index":0,"pair_image":"Z29vZA=="}`, string(got[row].Pairs[0]))
		}
		checkRow(t, cfg, b, got[1])
		var want schemas.Post
		var names any
		if got[1].Outcome == schemas.OutcomeResult && json.Unmarshal(value, &names) == nil && plainNames(names) &&
			json.Unmarshal(value, &want) == nil && want.Schema == schemas.PostSchema {
			posts := b.Posts()
			require.Equal(t, want.PostID, schemas.Col[*array.String](posts, schemas.PostID).Value(1))
			require.Equal(t, want.Text, schemas.Col[*array.String](posts, schemas.PostText).Value(1))
			require.Equal(t, want.AuthorID, schemas.Col[*array.String](posts, schemas.PostAuthor).Value(1))
			checkImages(t, b, want)
		}
	})
}

// plainNames reports whether encoding/json, which ignores case, takes the
// names in v for the same fields as we do.
func plainNames(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_$") != "" || !plainNames(inner) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(inner any) bool { return !plainNames(inner) })
	}
	return true
}

// checkRow checks what holds for row 1 whatever it was.
func checkRow(t *testing.T, cfg decode.Config, b *schemas.Batch, got outcome) {
	t.Helper()
	posts := b.Posts()
	id := schemas.Col[*array.String](posts, schemas.PostID)
	text := schemas.Col[*array.String](posts, schemas.PostText)
	switch got.Outcome {
	case schemas.OutcomeDeadLetter:
		require.NotEmpty(t, got.Reason)
		require.NotEmpty(t, got.Detail)
		require.Less(t, len(got.Detail), 400)
		require.True(t, utf8.ValidString(got.Detail))
		require.Empty(t, got.Post)
		require.Empty(t, got.Pairs)
	case schemas.OutcomeTombstone:
		require.NotEmpty(t, id.Value(1))
		require.True(t, text.IsNull(1))
		require.Empty(t, got.Pairs)
	case schemas.OutcomeResult:
		require.NotEmpty(t, id.Value(1))
		require.True(t, text.IsValid(1))
		require.LessOrEqual(t, len(got.Pairs), cfg.MaxImages)
		r := schemas.ResultAt(b, 1, schemas.ResultMeta{}, schematest.Start)
		line, err := json.Marshal(r)
		require.NoError(t, err)
		require.NotContains(t, string(line), `\u0000`)
	}
}

// checkImages compares inline images with what encoding/json decodes.
func checkImages(t *testing.T, b *schemas.Batch, want schemas.Post) {
	t.Helper()
	index := schemas.Col[*array.Int32](b.Pairs(), schemas.PairIndex)
	images := schemas.Col[*array.Binary](b.Pairs(), schemas.PairImage)
	urls := schemas.Col[*array.String](b.Pairs(), schemas.PairURL)
	first, end := schemas.PairsOf(b, 1)
	for i := first; i < end; i++ {
		medium := want.Media[index.Value(i)]
		if len(medium.Data) > 0 {
			require.True(t, bytes.Equal(medium.Data, images.Value(i)))
			require.True(t, urls.IsNull(i))
		}
		if urls.IsValid(i) {
			require.Equal(t, medium.URL, urls.Value(i))
			require.True(t, images.IsNull(i))
		}
	}
}

// BenchmarkInline decodes posts that carry an image of 364 KB, the mean of
// the project's measurements.
func BenchmarkInline(b *testing.B) {
	image := make([]byte, 364<<10)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range image {
		image[i] = byte(r.Uint32())
	}
	text := "Fog over the ridge at dawn ☁️ #hiking"
	value, err := json.Marshal(schemas.Post{
		Schema: schemas.PostSchema, PostID: "t3_1", Text: text, Media: []schemas.Media{{Data: image, Alt: "a ridge"}},
	})
	require.NoError(b, err)
	benchmark(b, 16, string(value))
}

// BenchmarkText decodes large batches of posts without an image, of 350 bytes.
func BenchmarkText(b *testing.B) {
	created := schematest.Start
	value, err := json.Marshal(schemas.Post{
		Schema: schemas.PostSchema, Source: "bench", PostID: "bench-00000001", AuthorID: "author-00001", CreatedAt: &created, Langs: []string{"en"},
		Text: strings.Repeat("Fog over the ridge at dawn ☁️ #hiking ", 4)[:156],
	})
	require.NoError(b, err)
	benchmark(b, 1024, string(value))
}

// BenchmarkJetstream decodes an event of the usual size.
func BenchmarkJetstream(b *testing.B) {
	value, err := os.ReadFile("testdata/jetstream-create.in.json")
	require.NoError(b, err)
	benchmark(b, 16, string(value))
}

func benchmark(b *testing.B, rows int, value string) {
	values := make([]string, rows)
	for i := range values {
		values[i] = value
	}
	batch := schematest.NewBatch(b, memory.DefaultAllocator, schematest.Values(values...)...)
	defer batch.Release()
	stage, err := decode.New(decode.DefaultConfig(), decode.Settings{Alloc: memory.DefaultAllocator})
	require.NoError(b, err)
	b.SetBytes(int64(rows * len(value)))
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, stage.Process(b.Context(), batch))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*rows), "µs/post")
}
