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

// charTable is what BERT's text cleaning knows of every code point.
type charTable struct {
	*classTable[charClass]
	folded map[rune]string
}

var bertChars = sync.OnceValue(newCharTable)

func newCharTable() *charTable {
	return &charTable{
		classTable: newClassTable(
			classSpans[charClass]{mark, markSpans},
			classSpans[charClass]{punctuation, punctuationSpans},
			classSpans[charClass]{ideograph, ideographSpans},
			classSpans[charClass]{space, spaceSpans},
			classSpans[charClass]{dropped, droppedSpans},
		),
		folded: records(folds),
	}
}

// records reads a generated table, one record a line: a code point, then what belongs to it.
func records(table string) map[rune]string {
	m := make(map[rune]string, strings.Count(table, "\n"))
	for record := range strings.Lines(table) {
		r, size := utf8.DecodeRuneInString(record)
		m[r] = strings.TrimSuffix(record[size:], "\n")
	}
	return m
}

// Hangul syllables decompose by arithmetic (Unicode 3.12).
const (
	hangulFirst, hangulLast           = 0xAC00, 0xD7A3
	leadFirst, vowelFirst, trailFirst = 0x1100, 0x1161, 0x11A7
	leadCount, vowelCount, trailCount = 19, 21, 28
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
