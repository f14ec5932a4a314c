package arena

import (
	"bytes"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever is asked for in whatever order, nobody's bytes change under him, and
// in the end nothing is in use and no more is kept than may be.
func TestBuffersKeepTheirBytes(t *testing.T) {
	t.Parallel()
	a := New()
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			b    []byte
			mark byte
		}
		var all []held
		sizes := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(smallest-2, smallest+2), rapid.IntRange(smallest, 3<<20))
		check := func(h held) {
			require.Equal(t, len(h.b), bytes.Count(h.b, []byte{h.mark}))
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, max(0, len(all)-1)).Draw(t, "which")
			switch what := rapid.IntRange(0, 2).Draw(t, "what"); {
			case what == 0 || len(all) == 0:
				h := held{a.Allocate(sizes.Draw(t, "size")), byte(len(all) + 1)}
				memory.Set(h.b, h.mark)
				all = append(all, h)
			case what == 1:
				h := all[i]
				was := len(h.b)
				h.b = a.Reallocate(sizes.Draw(t, "size"), h.b)
				check(held{h.b[:min(was, len(h.b))], h.mark})
				memory.Set(h.b, h.mark)
				all[i] = h
			default:
				check(all[i])
				a.Free(all[i].b)
				all = append(all[:i], all[i+1:]...)
			}
		}
		for _, h := range all {
			check(h)
			a.Free(h.b)
		}
		require.Empty(t, a.used)
		idle := 0
		for size, ready := range a.free {
			idle += size * len(ready)
		}
		require.Equal(t, a.idle, idle)
		require.LessOrEqual(t, a.idle, kept)
	})
}

func TestWhatIsFreedIsUsedAgain(t *testing.T) {
	t.Parallel()
	a := New()
	b := a.Allocate(1 << 20)
	a.Free(b)
	again := a.Allocate(1<<20 - 7)
	require.Same(t, &b[0], &again[0])
	require.Len(t, again, 1<<20-7)
	a.Free(again)
}

// One size must not keep what another needs.
func TestOtherSizesMakeRoom(t *testing.T) {
	t.Parallel()
	a := New()
	var small [][]byte
	for range kept / (1 << 20) {
		small = append(small, a.Allocate(1<<20))
	}
	for _, b := range small {
		a.Free(b)
	}
	require.Equal(t, kept, a.idle)
	large := a.Allocate(4 << 20)
	a.Free(large)
	require.Len(t, a.free[4<<20], 1)
	require.Equal(t, kept, a.idle)
}

func TestClasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(smallest, 1<<31).Draw(t, "size")
		class := classOf(n)
		require.GreaterOrEqual(t, class, n)
		require.LessOrEqual(t, class-n, n/4)
		require.Equal(t, class, classOf(class))
		require.Zero(t, class%4096)
	})
}

// Arrow's builders and its checks work on it, from many goroutines.
func TestArrowOnIt(t *testing.T) {
	t.Parallel()
	checked := memory.NewCheckedAllocator(New())
	defer checked.AssertSize(t, 0)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			value := bytes.Repeat([]byte{byte(i)}, 10_000)
			for range 20 {
				b := array.NewBinaryBuilder(checked, arrow.BinaryTypes.Binary)
				for range 100 {
					b.Append(value)
				}
				col := b.NewBinaryArray()
				b.Release()
				for row := range col.Len() {
					if !bytes.Equal(value, col.Value(row)) {
						t.Error("a value changed")
					}
				}
				col.Release()
			}
		})
	}
	group.Wait()
}
