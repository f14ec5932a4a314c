package tokenize

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// charClass says what BERT's text cleaning does with a code point.
type charClass uint8

const (
	letter      charClass = iota // part of a word, kept as it is
	dropped                      // removed, the word goes on
	space                        // ends a word, removed
	punctuation                  // a word of its own
	ideograph                    // a word of its own
	mark                         // an accent: removed when case is folded, else a letter
)

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// charTable holds the class of every code point as pages of 256, pages of equal content shared.
type charTable struct {
	page    [(utf8.MaxRune + 1) >> pageBits]uint8
	classes []([pageSize]charClass)
	folded  map[rune]string
}

// span is a range of code points, both ends included.
type span struct{ lo, hi rune }

var bertChars = sync.OnceValue(newCharTable)

func newCharTable() *charTable {
	all := make([]charClass, utf8.MaxRune+1)
	for _, set := range []struct {
		class charClass
		spans []span
	}{
		{mark, markSpans},
		{punctuation, punctuationSpans},
		{ideograph, ideographSpans},
		{space, spaceSpans},
		{dropped, droppedSpans},
	} {
		for _, s := range set.spans {
			for r := s.lo; r <= s.hi; r++ {
				all[r] = set.class
			}
		}
	}
	t := &charTable{folded: make(map[rune]string, strings.Count(folds, "\n"))}
	seen := map[[pageSize]charClass]uint8{}
	for i := range t.page {
		content := [pageSize]charClass(all[i<<pageBits:])
		n, ok := seen[content]
		if !ok {
			n = uint8(len(t.classes)) //nolint:gosec // the generated tables have 80 distinct pages, TestCharTable holds them below 256
			seen[content] = n
			t.classes = append(t.classes, content)
		}
		t.page[i] = n
	}
	for record := range strings.Lines(folds) {
		r, size := utf8.DecodeRuneInString(record)
		t.folded[r] = strings.TrimSuffix(record[size:], "\n")
	}
	return t
}

func (t *charTable) class(r rune) charClass {
	return t.classes[t.page[r>>pageBits]][r&(pageSize-1)]
}

// Hangul syllables decompose by arithmetic (Unicode 3.12).
const (
	hangulFirst, hangulLast           = 0xAC00, 0xD7A3
	leadFirst, vowelFirst, trailFirst = 0x1100, 0x1161, 0x11A7
	vowelCount, trailCount            = 21, 28
	hangulBlock                       = vowelCount * trailCount
	asciiUpperFirst, asciiUpperLast   = 'A', 'Z'
	asciiCaseDistance                 = 'a' - 'A'
)

// fold appends to dst what r becomes when it is decomposed, stripped of accents and lowercased. Canonical reordering of
// the marks that are left is not done: none of them is in a BERT vocabulary, so their word is unknown in any order.
func (t *charTable) fold(dst []rune, r rune) []rune {
	switch {
	case r < utf8.RuneSelf:
		if asciiUpperFirst <= r && r <= asciiUpperLast {
			r += asciiCaseDistance
		}
		return append(dst, r)
	case hangulFirst <= r && r <= hangulLast:
		r -= hangulFirst
		dst = append(dst, leadFirst+r/hangulBlock, vowelFirst+r%hangulBlock/trailCount)
		if trail := r % trailCount; trail > 0 {
			dst = append(dst, trailFirst+trail)
		}
		return dst
	}
	if folded, ok := t.folded[r]; ok {
		for _, f := range folded {
			dst = append(dst, f)
		}
		return dst
	}
	return append(dst, r)
}
