package tokenize

import "unicode/utf8"

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// span is a range of code points, both ends included.
type span struct{ lo, hi rune }

// classSpans are the code points of a class.
type classSpans[C ~uint8] struct {
	class C
	spans []span
}

// classTable holds the class of every code point as pages of 256, pages of equal content shared. Code points that no span
// names have class 0.
type classTable[C ~uint8] struct {
	page    [(utf8.MaxRune + 1) >> pageBits]uint8
	classes []([pageSize]C)
}

// newClassTable makes a table of sets; a later set wins where two overlap.
func newClassTable[C ~uint8](sets ...classSpans[C]) *classTable[C] {
	all := make([]C, utf8.MaxRune+1)
	for _, set := range sets {
		for _, s := range set.spans {
			for r := s.lo; r <= s.hi; r++ {
				all[r] = set.class
			}
		}
	}
	t := &classTable[C]{}
	seen := map[[pageSize]C]uint8{}
	for i := range t.page {
		content := [pageSize]C(all[i<<pageBits:])
		n, ok := seen[content]
		if !ok {
			n = uint8(len(t.classes)) //nolint:gosec // the generated tables have some 100 distinct pages, TestClassTables holds them below 256
			seen[content] = n
			t.classes = append(t.classes, content)
		}
		t.page[i] = n
	}
	return t
}

func (t *classTable[C]) class(r rune) C {
	return t.classes[t.page[r>>pageBits]][r&(pageSize-1)]
}
