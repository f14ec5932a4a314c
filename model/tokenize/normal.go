package tokenize

import (
	"sync"
	"unicode/utf8"
)

// normalForm composes text: Unicode's normal form C, with the tables of the tokenizers package.
type normalForm struct {
	combining  *classTable[uint8] // 0: starts a cluster; else the order in which marks are sorted
	decomposed map[rune]string
	composed   map[[2]rune]rune
}

// composedBelow is the first code point that composition may touch: text below it is in normal form C.
const composedBelow = 0x300

var normalFormC = sync.OnceValue(func() *normalForm {
	sets := make([]classSpans[uint8], len(combiningSpans))
	for i, spans := range combiningSpans {
		sets[i] = classSpans[uint8]{uint8(i + 1), spans}
	}
	f := &normalForm{
		combining:  newClassTable(sets...),
		decomposed: records(decompositions),
		composed:   map[[2]rune]rune{},
	}
	for first, pairs := range records(compositions) {
		for pairs != "" {
			second, size := utf8.DecodeRuneInString(pairs)
			composite, size2 := utf8.DecodeRuneInString(pairs[size:])
			f.composed[[2]rune{first, second}] = composite
			pairs = pairs[size+size2:]
		}
	}
	return f
})

// apply appends the normal form of text to dst, which is empty.
func (f *normalForm) apply(dst []rune, text []byte) []rune {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if hangulFirst <= r && r <= hangulLast {
			dst = append(dst, r) // composed already; what may follow it is found when composing
			continue
		}
		parts, ok := f.decomposed[r]
		if !ok {
			dst = f.sorted(dst, r)
			continue
		}
		for _, part := range parts {
			dst = f.sorted(dst, part)
		}
	}
	return f.compose(dst)
}

// sorted appends r, before marks of later classes if it is a mark.
func (f *normalForm) sorted(dst []rune, r rune) []rune {
	dst = append(dst, r)
	class := f.combining.class(r)
	if class == 0 {
		return dst
	}
	for i := len(dst) - 1; i > 0 && f.combining.class(dst[i-1]) > class; i-- {
		dst[i], dst[i-1] = dst[i-1], r
	}
	return dst
}

// compose joins, in place, each character that starts a cluster with the marks behind it that it has a composite with. A
// mark is out of reach when one of its own or a later class stands between.
func (f *normalForm) compose(text []rune) []rune {
	start, n := -1, 0 // of the cluster, and of what is written
	var last uint8    // the class before the character at hand, in the cluster
	for _, r := range text {
		class := f.combining.class(r)
		if start >= 0 && (start == n-1 || last < class) {
			if composite, ok := f.pair(text[start], r); ok {
				text[start] = composite
				continue
			}
		}
		if class == 0 {
			start = n
		}
		last = class
		text[n] = r
		n++
	}
	return text[:n]
}

func (f *normalForm) pair(first, second rune) (rune, bool) {
	switch {
	case leadFirst <= first && first < leadFirst+leadCount && vowelFirst <= second && second < vowelFirst+vowelCount:
		return hangulFirst + (first-leadFirst)*hangulBlock + (second-vowelFirst)*trailCount, true
	case hangulFirst <= first && first <= hangulLast && (first-hangulFirst)%trailCount == 0 && trailFirst < second && second < trailFirst+trailCount:
		return first + second - trailFirst, true
	}
	composite, ok := f.composed[[2]rune{first, second}]
	return composite, ok
}
