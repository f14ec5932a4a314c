package tokenize

import (
	"sync"
	"unicode/utf8"
)

// tweetClass is what Python and the expression of the tweet splitter tell apart.
type tweetClass uint8

const (
	tweetOther     tweetClass = iota
	tweetWord                 // \w that is neither \d nor the underscore
	tweetDigit                // \d
	tweetSpace                // \s
	tweetSeparator            // a space for Python, not for the expression
)

var tweetClasses = sync.OnceValue(func() *classTable[tweetClass] {
	return newClassTable(
		classSpans[tweetClass]{tweetWord, tweetWordSpans},
		classSpans[tweetClass]{tweetDigit, tweetDigitSpans},
		classSpans[tweetClass]{tweetSpace, tweetSpaceSpans},
		classSpans[tweetClass]{tweetSeparator, tweetSeparatorSpans},
	)
})

// isPythonSpace is Python's str.isspace.
func isPythonSpace(r rune) bool {
	class := tweetClasses().class(r)
	return class == tweetSpace || class == tweetSeparator
}

// spaceEnd is the length of Python's spaces at the start of text.
func spaceEnd(t *classTable[tweetClass], text []byte) int {
	return pythonRun(t, text, true)
}

// wordEnd is the length of the word, as Python sees words, at the start of text.
func wordEnd(t *classTable[tweetClass], text []byte) int {
	return pythonRun(t, text, false)
}

func pythonRun(t *classTable[tweetClass], text []byte, spaces bool) int {
	n := 0
	for n < len(text) {
		r, size := rune(text[n]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[n:])
		}
		class := t.class(r)
		if (class == tweetSpace || class == tweetSeparator) != spaces {
			break
		}
		n += size
	}
	return n
}
