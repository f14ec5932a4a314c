package schemas_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

func names(rec arrow.Record) []string {
	var out []string
	for _, f := range rec.Schema().Fields() {
		out = append(out, f.Name)
	}
	return out
}

func TestAddPostsReplaces(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, schematest.Values("a", "b")...)
	defer b.Release()
	before := names(b.Posts())

	fields := schemas.PostFields()[:2]
	schematest.AddPosts(t, mem, b, fields, `{"post_source":"x","post_op":"create"}`, `{"post_op":"update"}`)
	want := append(before, schemas.PostSource, schemas.PostOp)
	assert.Equal(t, want, names(b.Posts()))

	schematest.AddPosts(t, mem, b, fields[1:], `{"post_op":"delete"}`, `{}`)
	assert.Equal(t, want, names(b.Posts()), "a stage that runs again replaces its columns")
	ops := schemas.Col[*array.String](b.Posts(), schemas.PostOp)
	assert.Equal(t, "delete", ops.Value(0))
	assert.True(t, ops.IsNull(1))
	assert.Equal(t, "x", schemas.Col[*array.String](b.Posts(), schemas.PostSource).Value(0))
	assert.Equal(t, "b", string(schemas.Col[*array.Binary](b.Posts(), schemas.RecordValue).Value(1)))

	assert.Panics(t, func() { b.AddPosts(fields, nil) })
}

func TestDropValuesKeepsDeadLetters(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.NewBatch(t, mem, schematest.Values(strings.Repeat("a", 1000), "bad", "c")...)
	defer b.Release()
	b.Reject(1, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed})
	before := mem.CurrentAlloc()
	b.DropValues(mem)
	assert.Less(t, mem.CurrentAlloc(), before)
	values := schemas.Col[*array.Binary](b.Posts(), schemas.RecordValue)
	assert.True(t, values.IsNull(0))
	assert.Equal(t, "bad", string(values.Value(1)))
	assert.True(t, values.IsNull(2))
	assert.EqualValues(t, 3, b.Posts().NumRows())
	assert.Panics(t, func() { b.Reject(2, schemas.Reject{}) }, "its value is gone")
}

func TestDropPairsFrees(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.Decoded(t, mem, []string{`{}`}, []string{`{"pair_post":0,"pair_index":4,"pair_image":"aGVsbG8=","pair_alt":"kept"}`})
	defer b.Release()
	before := mem.CurrentAlloc()
	b.DropPairs(schemas.PairImage, "no such column")
	assert.Less(t, mem.CurrentAlloc(), before)
	assert.False(t, schemas.Has(b.Pairs(), schemas.PairImage))
	assert.Equal(t, "kept", schemas.Col[*array.String](b.Pairs(), schemas.PairAlt).Value(0))
	assert.EqualValues(t, 1, b.Pairs().NumRows())
}

func TestSetPairsReplaces(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.Decoded(t, mem, []string{`{}`}, []string{`{"pair_post":0,"pair_index":0}`})
	defer b.Release()
	b.SetPairs(schematest.Rows(t, mem, schemas.PairFields()))
	assert.Zero(t, b.Pairs().NumRows())
}

func TestReleaseTwice(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := schematest.Decoded(t, mem, []string{`{}`}, nil)
	b.Release()
	b.Release()
	assert.Nil(t, b.Posts())
	assert.Nil(t, b.Pairs())
}

func TestFirstRejectStays(t *testing.T) {
	t.Parallel()
	var b schemas.Batch
	_, ok := b.Rejected(1)
	require.False(t, ok)
	first := schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed, Detail: "byte 3"}
	b.Reject(1, first)
	b.Reject(1, schemas.Reject{Stage: "media", Reason: schemas.ReasonMediaFailed})
	got, ok := b.Rejected(1)
	assert.True(t, ok)
	assert.Equal(t, first, got)
}

func TestCol(t *testing.T) {
	t.Parallel()
	b := schematest.NewBatch(t, memory.DefaultAllocator, schematest.Values("a")...)
	defer b.Release()
	assert.Panics(t, func() { schemas.Col[*array.String](b.Posts(), "missing") })
	assert.Panics(t, func() { schemas.Col[*array.String](b.Posts(), schemas.RecordValue) })
	assert.False(t, schemas.Has(nil, schemas.PairPost))
}

func TestNotation(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "posts/7", schemas.Partition{Topic: "posts", ID: 7}.String())
	assert.Equal(t, "[5,9)", schemas.OffsetRange{First: 5, End: 9}.String())
}
