package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func takedowns(ctx context.Context, t require.TestingT, f *Folder) *Takedowns {
	set, err := OpenTakedowns(ctx, f, func() time.Time { return clock })
	require.NoError(t, err)
	return set
}

func TestTakedownsCover(t *testing.T) {
	t.Parallel()
	row := full(3)
	for what, taken := range map[string]Taken{
		"post":   TakenPost(row.Collected.PostID),
		"author": TakenAuthor(row.Collected.AuthorID),
		"image":  TakenImage(row.Collected.Image.Digest),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := takedowns(t.Context(), t, inMemory(t))
			refs := &References{}
			refs.Add(&row)
			assert.False(t, set.Covers(&row))
			assert.False(t, set.Touch(refs))
			set.Add(taken)
			assert.True(t, set.Has(taken))
			assert.True(t, refs.Has(taken))
			assert.True(t, set.Covers(&row))
			assert.True(t, set.Touch(refs))
			assert.True(t, refs.HasAny(set.Fresh().Own))
			assert.Empty(t, set.Fresh())
		})
	}
	set := takedowns(t.Context(), t, inMemory(t))
	// An id of one kind is none of another, and with media is an id of its own.
	set.Add(TakenPost(row.Collected.AuthorID), TakenAuthor(row.Collected.PostID), TakenPost(row.Collected.Image.Digest), TakenPost(row.Collected.PostID).WithMedia())
	assert.False(t, set.Covers(&row))
	none := bare()
	set.Add(TakenAuthor(""))
	assert.False(t, set.Covers(&none), "nobody's rows are not the author's without an id")
}

// TestTakedownsLast writes and reads them in any order, by several at once,
// some of which start anew and forget what they have not saved.
func TestTakedownsLast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := inMemory(t)
		sets := []*Takedowns{takedowns(t.Context(), rt, f), takedowns(t.Context(), rt, f)}
		has := []map[int]bool{{}, {}}
		saved := map[int]bool{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			at := rapid.IntRange(0, 1).Draw(rt, "who")
			set := sets[at]
			switch rapid.SampledFrom([]string{"add", "add", "save", "refresh", "reopen"}).Draw(rt, "what") {
			case "add":
				n := rapid.IntRange(0, 9).Draw(rt, "post")
				set.Add(TakenPost(fmt.Sprint(n)))
				has[at][n] = true
			case "save":
				require.NoError(rt, set.Save(t.Context()))
				for n := range has[at] {
					saved[n] = true
				}
			case "refresh":
				require.NoError(rt, set.Refresh(t.Context()))
				for n := range saved {
					has[at][n] = true
				}
			case "reopen":
				sets[at], has[at] = takedowns(t.Context(), rt, f), map[int]bool{}
				for n := range saved {
					has[at][n] = true
				}
			}
			for n := range 10 {
				require.Equal(rt, has[at][n], sets[at].Has(TakenPost(fmt.Sprint(n))), "post %d", n)
			}
			require.Equal(rt, len(has[at]), sets[at].Len())
		}
		all := keys(t.Context(), rt, f)
		require.LessOrEqual(rt, len(all), 40, "each writer has one file")
		for _, key := range all {
			text, err := f.store.ReadAll(t.Context(), key)
			require.NoError(rt, err)
			require.NotContains(rt, string(text[len(takedownHead):]), "post")
		}
	})
}

// TestTakedownsOfManyFiles passes what one file may hold.
func TestTakedownsOfManyFiles(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	set := takedowns(t.Context(), t, f)
	const n = takedownsPerFile*2 + 10
	for i := range n {
		set.Add(TakenPost(fmt.Sprint(i)))
		if i%50_000 == 0 {
			require.NoError(t, set.Save(t.Context()))
		}
	}
	require.NoError(t, set.Save(t.Context()))
	require.Len(t, keys(t.Context(), t, f), 3)
	other := takedowns(t.Context(), t, f)
	require.Equal(t, n, other.Len())
	for i := range n {
		require.True(t, other.Has(TakenPost(fmt.Sprint(i))))
	}
	set.Add(TakenPost("one more"))
	require.NoError(t, set.Save(t.Context()))
	require.NoError(t, other.Refresh(t.Context()))
	require.True(t, other.Has(TakenPost("one more")))
	require.Len(t, other.Fresh().Others, 1)
	require.Len(t, keys(t.Context(), t, f), 3)
}

func TestDamagedTakedowns(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	set := takedowns(t.Context(), t, f)
	set.Add(TakenPost("p"))
	require.NoError(t, set.Save(t.Context()))
	key := keys(t.Context(), t, f)[0]
	text, err := f.store.ReadAll(t.Context(), key)
	require.NoError(t, err)
	for _, bad := range [][]byte{nil, text[:len(text)-1], bytes.Replace(text, []byte("v1"), []byte("v2"), 1)} {
		require.NoError(t, f.store.WriteAll(t.Context(), key, bad, nil))
		_, err = OpenTakedowns(t.Context(), f, func() time.Time { return clock })
		require.ErrorContains(t, err, key)
	}
}

func FuzzTakedowns(f *testing.F) {
	f.Add(encodeTakedowns(nil))
	f.Add(encodeTakedowns([]Taken{TakenPost("a"), TakenAuthor("b")}))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if all, err := decodeTakedowns(b); err == nil {
			require.Equal(t, b, encodeTakedowns(all))
		}
	})
}

// TestDraftWithout takes any of three rows out of a draft that is then
// appended.
func TestDraftWithout(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer alloc.AssertSize(t, 0)
	for mask := range int64(8) {
		f := inMemory(t)
		c, err := f.Begin(t.Context(), input, "k1", 0)
		require.NoError(t, err)
		d, err := NewDraft(alloc)
		require.NoError(t, err)
		var want []int64
		for i := range 3 {
			row := full(i)
			require.NoError(t, d.Add(&row))
			if mask>>i&1 == 0 {
				want = append(want, int64(i))
			}
		}
		next, err := d.Without(t.Context(), alloc, func(r *Row) bool { return mask>>r.Collected.Input.Offset&1 == 1 })
		require.NoError(t, err)
		require.Equal(t, len(want), next.Rows())
		e, err := c.Append(t.Context(), next, 3, Entry{}, clock)
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), e.Rows)
		require.Equal(t, want, offsets(t.Context(), t, f))
		require.NoError(t, next.Discard())
	}
}

// TestDraftWithoutFails leaves the draft to its owner.
func TestDraftWithoutFails(t *testing.T) {
	t.Parallel()
	d := draft(t, 1, 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	_, err := d.Without(ctx, memory.DefaultAllocator, func(*Row) bool { return true })
	require.ErrorContains(t, err, "stopped")
	next, err := d.Without(t.Context(), memory.DefaultAllocator, func(*Row) bool { return false })
	require.NoError(t, err)
	require.Equal(t, 2, next.Rows())
	require.NoError(t, next.Discard())
}

// TestReferencesOfAShard are those of its rows, and take what they say.
func TestReferencesOfAShard(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	e := appended(t, c, 10, 1, 2)
	refs, err := f.References(t.Context(), e, memory.DefaultAllocator)
	require.NoError(t, err)
	for i := range 4 {
		row := full(i)
		require.Equal(t, i == 1 || i == 2, refs.Has(TakenPost(row.Collected.PostID)), "row %d", i)
		require.True(t, refs.Has(TakenImage(row.Collected.Image.Digest)), "all have one image")
		require.True(t, refs.Has(TakenAuthor(row.Collected.AuthorID)), "and one author")
	}
	require.Equal(t, 64+8*(2+1+1), refs.Bytes())
	none, err := f.References(t.Context(), Entry{}, memory.DefaultAllocator)
	require.NoError(t, err)
	require.Zero(t, none.names.len())
}

func TestHashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var h hashes
		want := map[uint64]bool{}
		for _, x := range rapid.SliceOfN(rapid.Uint64Range(0, 300), 0, 300).Draw(rt, "added") {
			require.Equal(rt, !want[x], h.add(x))
			want[x] = true
			if x%50 == 0 {
				h.sort()
			}
		}
		if rapid.Bool().Draw(rt, "sort") {
			h.sort()
			require.True(rt, slices.IsSorted(h.sorted))
		}
		require.Equal(rt, len(want), h.len())
		for x := range uint64(301) {
			require.Equal(rt, want[x], h.has(x))
		}
		for x := range h.all() {
			require.True(rt, want[x])
			delete(want, x)
		}
		require.Empty(rt, want)
	})
}
