package tokenize

import (
	"slices"
	"testing"
	"unicode/utf8"
)

// TestCharTable holds the pages to the spans that they were made from.
func TestCharTable(t *testing.T) {
	t.Parallel()
	table := newCharTable()
	if n := len(table.classes); n > 255 {
		t.Fatalf("%d distinct pages do not fit a byte", n)
	}
	in := func(spans []span, r rune) bool {
		_, found := slices.BinarySearchFunc(spans, r, func(s span, r rune) int {
			switch {
			case s.hi < r:
				return -1
			case s.lo > r:
				return 1
			}
			return 0
		})
		return found
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		want := letter
		switch {
		case in(droppedSpans, r):
			want = dropped
		case in(spaceSpans, r):
			want = space
		case in(ideographSpans, r):
			want = ideograph
		case in(punctuationSpans, r):
			want = punctuation
		case in(markSpans, r):
			want = mark
		}
		if got := table.class(r); got != want {
			t.Fatalf("U+%04X has class %d, want %d", r, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for in, want := range map[rune]string{
		'A': "a",
		'z': "z",
		'7': "7",
		'É': "e",
		'İ': "i",
		'ß': "ß",
		'Σ': "σ",
		'≠': "=",
		'Ⅷ': "ⅷ",
		'😀': "😀",

		'\uac00': "\u1100\u1161",
		'\uac01': "\u1100\u1161\u11a8",
		'\ud7a3': "\u1112\u1175\u11c2",
		'\uf900': "\u8c48",
	} {
		if got := string(bertChars().fold(nil, in)); got != want {
			t.Errorf("%c folds to %+q, want %+q", in, got, want)
		}
	}
}
