package scale

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// fence is memory that ends where the process may not read.
type fence []byte

func newFence(t *testing.T, size int) fence {
	t.Helper()
	page := os.Getpagesize()
	size = (size + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	if err := syscall.Mprotect(memory[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return fence(memory[:size])
}

// last returns n random bytes that end at the fence.
func (f fence) last(n int, random *rand.ChaCha8) []byte {
	b := f[len(f)-n:]
	_, _ = random.Read(b)
	return b
}

// largest is a share of 1.9, more than any filter gives a sample.
const largest = 19 << Precision / 10

func randomTaps(n int, random *rand.Rand) []int32 {
	taps := make([]int32, n)
	for i := range taps {
		taps[i] = random.Int32N(2*largest+1) - largest
	}
	return taps
}

func TestScaleEqualsGo(t *testing.T) {
	t.Parallel()
	const widest, highest, most = 200, 40, 60
	in, out := newFence(t, 3*widest*highest), newFence(t, 3*most*highest)
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, widest).Draw(t, "width")
		rows := rapid.OneOf(rapid.IntRange(1, highest), rapid.Just(rowsAtOnce)).Draw(t, "rows")
		count, longest := rapid.IntRange(1, most).Draw(t, "count"), rapid.IntRange(1, 40).Draw(t, "longest")
		below := rapid.OneOf(rapid.Just(0), rapid.IntRange(0, highest-rows)).Draw(t, "rows below")
		source := rand.NewChaCha8([32]byte{byte(rapid.IntRange(0, 255).Draw(t, "seed"))})
		random := rand.New(source)
		spans := make([]Span, count)
		for i := range spans {
			from := random.IntN(width)
			spans[i] = Span{From: from, Taps: randomTaps(1+random.IntN(min(longest, width-from)), random)}
		}
		slices.SortFunc(spans, func(a, b Span) int { return a.From - b.From })
		src := in.last(3*width*(rows+below), source)
		want := make([]byte, 3*count*rows)
		s := NewRows(width, spans)
		s.scale(inGo, want, src, rows)
		for k := avx2; k <= best; k++ {
			got := out.last(len(want), source)
			s.scale(k, got, src, rows)
			if !bytes.Equal(got, want) {
				t.Fatalf("kernel %d gives %v, want %v", k, got, want)
			}
		}
	})
}

func TestColumnsEqualGo(t *testing.T) {
	t.Parallel()
	const widest, highest = 300, 40
	in, out := newFence(t, widest*highest), newFence(t, widest)
	rapid.Check(t, func(t *rapid.T) {
		width, rows := rapid.IntRange(1, widest).Draw(t, "width"), rapid.IntRange(1, highest).Draw(t, "rows")
		then := rapid.IntRange(1, rows).Draw(t, "rows of the last strip")
		source := rand.NewChaCha8([32]byte{byte(rapid.IntRange(0, 255).Draw(t, "seed"))})
		src, taps := in.last(width*rows, source), randomTaps(rows, rand.New(source))
		inStrips := func(k kernel, dst []byte) {
			sums, before := make([]int32, width), rows-then
			if before > 0 {
				columns(k, nil, sums, src, taps[:before], true)
			}
			columns(k, dst, sums, src[width*before:], taps[before:], before == 0)
		}
		want := make([]byte, width)
		inStrips(inGo, want)
		for k := avx2; k <= best; k++ {
			got := out.last(width, source)
			inStrips(k, got)
			if !bytes.Equal(got, want) {
				t.Fatalf("kernel %d gives %v, want %v", k, got, want)
			}
		}
	})
}

// TestRowsAreWeighed holds the Go code, which all else is compared with, to figures.
func TestRowsAreWeighed(t *testing.T) {
	t.Parallel()
	const one = 1 << Precision
	s := NewRows(3, []Span{{0, []int32{one}}, {1, []int32{one / 2, one / 2}}, {0, []int32{-one, 2 * one, one}}})
	got := make([]byte, 9)
	s.Scale(got, []byte{10, 20, 30, 0, 100, 3, 0, 101, 200}, 1)
	if want := []byte{10, 20, 30, 0, 101, 102, 0, 255, 176}; !bytes.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
