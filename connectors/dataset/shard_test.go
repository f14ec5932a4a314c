package dataset

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// checked returns an allocator whose leaks fail the test.
func checked(t *testing.T) memory.Allocator {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	return alloc
}

// full has a value in every column, bare in as few as possible.
func full(i int) Row {
	return Row{
		Collected: schemas.Collected{
			ResultID: fmt.Sprintf("result-%d", i), Pair: i % 4, PostID: fmt.Sprintf("post-%d", i), Source: "bluesky", AuthorID: "hmac-sha256:k:a",
			CreatedAt: time.Date(2026, 11, 23, 9, 30, 0, 123456000, time.UTC), Langs: []string{"en", "de-AT"}, Sensitive: new(false),
			Text: "a cat — жёлтый 🐈", Alt: "cat", URI: "at://x/y", License: "CC-BY-4.0", OptOuts: []string{"tdm"},
			Image:    schemas.CollectedImage{Digest: strings.Repeat("ab", 32), Bytes: 6, MIME: "image/png"},
			Relation: "both", Scores: [4]float64{0.0625, 0.125, 0.25, 0.5}, TextIsRepresented: 0.75, ImageAdds: 0.625, Similarity: -0.5,
			Cluster: new("c1"), Novel: new(true), Selected: schemas.Selected{Reason: "rule:cats", Probability: 0.1},
			Model: schemas.ModelRef{Name: "itr-mini", Version: "1.2.0", Digest: "d1"}, ConfigDigest: "c0",
			Input: schemas.Input{Topic: "posts", Partition: 3, Offset: int64(i)}, CollectedAt: time.Date(2026, 11, 23, 9, 31, 0, 0, time.UTC),
		},
		Image: []byte("\x89PNG\r\n"), OCR: "MEOW", Caption: "a yellow cat", ImageHash: new(int64(-7)), TextHash: []byte{0, 1, 255},
	}
}

func bare() Row {
	return Row{Collected: schemas.Collected{Relation: "neither"}}
}

func shard(t *testing.T, alloc memory.Allocator, rows ...Row) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, alloc)
	require.NoError(t, err)
	for i := range rows {
		require.NoError(t, w.Add(&rows[i]))
	}
	require.Equal(t, len(rows), w.Rows())
	require.NoError(t, w.Close())
	return out.Bytes()
}

func read(ctx context.Context, content []byte, alloc memory.Allocator, names ...string) (rows []Row, err error) {
	r, err := NewReader(bytes.NewReader(content), alloc)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // bytes
	for row, err := range r.Rows(ctx, names...) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string][]Row{
		"none": nil, "full": {full(1), full(2)}, "bare": {bare()}, "mixed": {bare(), full(1), bare(), full(3)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alloc := checked(t)
			got, err := read(t.Context(), shard(t, alloc, rows...), alloc)
			require.NoError(t, err)
			assert.Equal(t, rows, got)
		})
	}
}

func TestRowsOfManyGroups(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	var rows []Row
	for i := range 2*groupRows + 10 {
		rows = append(rows, full(i))
	}
	content := shard(t, alloc, rows...)
	got, err := read(t.Context(), content, alloc)
	require.NoError(t, err)
	assert.Equal(t, rows, got)

	f, err := file.NewParquetReader(bytes.NewReader(content))
	require.NoError(t, err)
	assert.Equal(t, 3, f.NumRowGroups())
}

func TestARowGroupEndsAtItsBytes(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	w, err := NewWriter(io.Discard, alloc)
	require.NoError(t, err)
	row := full(0)
	row.Image = make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{})
	for range 100 {
		_, _ = rng.Read(row.Image) // an image is compressed already
		require.NoError(t, w.Add(&row))
		require.LessOrEqual(t, w.pending, int64(groupBytes))
	}
	assert.Greater(t, w.Bytes(), int64(90<<20))
	assert.Greater(t, w.out.n, int64(60<<20), "earlier groups are written, not held")
	require.NoError(t, w.Close())
}

func TestProjection(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	content := shard(t, alloc, full(1), bare())
	got, err := read(t.Context(), content, alloc, ColTextHash, ColPostID, ColPair)
	require.NoError(t, err)
	assert.Equal(t, []Row{{Collected: schemas.Collected{PostID: "post-1", Pair: 1}, TextHash: []byte{0, 1, 255}}, {}}, got)

	_, err = read(t.Context(), content, alloc, "post")
	assert.ErrorContains(t, err, `no column "post"`)
}

func TestReadingStopsWhenNoMoreRowsAreWanted(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	r, err := NewReader(bytes.NewReader(shard(t, alloc, full(1), full(2))), alloc)
	require.NoError(t, err)
	for row, err := range r.Rows(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, "post-1", row.Collected.PostID)
		break
	}
}

// A required column, or an image whose parts are required, is no image for
// datasets; statistics of images would hold images.
func TestParquetSchema(t *testing.T) {
	t.Parallel()
	content := shard(t, memory.NewGoAllocator(), full(1))
	f, err := file.NewParquetReader(bytes.NewReader(content))
	require.NoError(t, err)
	var walk func(n schema.Node)
	walk = func(n schema.Node) {
		if n.Name() != "list" { // the repeated level of a list, which is no column
			assert.Equal(t, parquet.Repetitions.Optional, n.RepetitionType(), n.Path())
		}
		if g, ok := n.(*schema.GroupNode); ok {
			for i := range g.NumFields() {
				walk(g.Field(i))
			}
		}
	}
	root := f.MetaData().Schema.Root()
	for i := range root.NumFields() {
		walk(root.Field(i))
	}
	for i := range f.MetaData().Schema.NumColumns() {
		chunk, err := f.MetaData().RowGroup(0).ColumnChunk(i)
		require.NoError(t, err)
		assert.Equal(t, compress.Codecs.Zstd, chunk.Compression(), chunk.PathInSchema())
		if chunk.PathInSchema().String() == "image.bytes" {
			set, err := chunk.StatsSet()
			require.NoError(t, err)
			assert.False(t, set)
		}
	}

	var text strings.Builder
	schema.PrintSchema(root, &text, 2)
	text.WriteString("huggingface: " + *f.MetaData().KeyValueMetadata().FindValue("huggingface") + "\n")
	golden(t, "schema.golden.txt", []byte(text.String()))
}

// TestGoldenShard reads a shard that an earlier version wrote.
func TestGoldenShard(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	rows := []Row{full(1), bare(), full(2)}
	name := filepath.Join("testdata", "shard.golden.parquet")
	if *update {
		require.NoError(t, os.WriteFile(name, shard(t, alloc, rows...), 0o600))
	}
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	got, err := read(t.Context(), content, alloc)
	require.NoError(t, err)
	assert.Equal(t, rows, got)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(name, got, 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestARoundTripKeepsAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		alloc := memory.NewGoAllocator()
		var rows []Row
		for range rapid.IntRange(0, 20).Draw(rt, "rows") {
			r := full(rapid.Int().Draw(rt, "i"))
			r.Collected.Pair = rapid.IntRange(0, 100).Draw(rt, "pair")
			r.Collected.Text = rapid.String().Draw(rt, "text")
			r.Image = rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(rt, "image")
			r.Collected.Image.Bytes = int64(len(r.Image))
			r.Collected.Langs = rapid.SliceOfN(rapid.String(), 1, 5).Draw(rt, "langs")
			if rapid.Bool().Draw(rt, "unknown") {
				r.Collected.Novel, r.Collected.Cluster, r.ImageHash, r.Collected.Langs = nil, nil, nil, nil
			}
			rows = append(rows, r)
		}
		got, err := read(t.Context(), shard(t, alloc, rows...), alloc)
		require.NoError(rt, err)
		require.Equal(rt, rows, got)
	})
}

func FuzzReader(f *testing.F) {
	content, err := os.ReadFile(filepath.Join("testdata", "shard.golden.parquet"))
	require.NoError(f, err)
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add(slices.Concat(content[:100], content[200:]))
	f.Fuzz(func(t *testing.T, content []byte) {
		if rows, err := read(t.Context(), content, memory.NewGoAllocator()); err != nil {
			assert.Empty(t, rows)
		}
	})
}
