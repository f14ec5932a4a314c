// Package jsonscan reads one JSON text strictly and in a single pass, without
// copying it.
//
// It exists because inline images make up nine tenths of the input: Opaque
// hands out a base64 string without having looked at its bytes, which general
// readers can't, and which makes decoding a post about ten times cheaper.
// Being strict costs nothing beside that. Refused are, everywhere: duplicated
// names, invalid UTF-8, lone surrogates, the character U+0000, numbers that
// fit neither 64 bits nor a double, nesting beyond MaxDepth, and anything
// behind the value.
//
// Errors stick: after the first one every method returns zero values and every
// iteration ends, so a caller may read to the end and ask Err once.
//
// FuzzScanner checks it against a slow reader built on encoding/json.
package jsonscan

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 64

// Kind is the kind of a JSON value.
type Kind byte

// Kinds. Invalid is what follows where no value begins.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind as it reads in a sentence.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	case Object:
		return "an object"
	case Invalid:
	}
	return "no value"
}

// SyntaxError says where a text stops being the JSON we accept. It quotes
// nothing of the text.
type SyntaxError struct {
	Offset int // bytes before the fault
	What   string
}

// Error returns the position and what is wrong there.
func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.What) }

// Scanner reads one JSON text from front to back. The caller asks what comes
// next with Kind and must then consume it by the method of that kind, or by
// Skip.
type Scanner struct {
	buf   []byte
	pos   int
	depth int
	err   *SyntaxError
	names [][]byte // of all open objects, outermost first
}

// New returns a scanner at the first value of text, which must not change
// while it, or a string it returned, is in use.
func New(text []byte) *Scanner {
	s := new(Scanner)
	s.Reset(text)
	return s
}

// Reset makes it a scanner at the first value of another text.
func (s *Scanner) Reset(text []byte) {
	*s = Scanner{buf: text, names: s.names[:0]}
	if !utf8.Valid(text) {
		s.failAt(invalidUTF8(text), "invalid UTF-8")
	}
}

// Err returns the first fault, a *SyntaxError, or nil.
func (s *Scanner) Err() error {
	if s.err == nil {
		return nil
	}
	return s.err
}

// Offset returns how many bytes have been consumed.
func (s *Scanner) Offset() int { return s.pos }

// End checks that nothing but white space is left.
func (s *Scanner) End() {
	s.space()
	if s.err == nil && s.pos < len(s.buf) {
		s.fail("more text after the value")
	}
}

// Kind says what the next value is, by its first byte.
func (s *Scanner) Kind() Kind {
	s.space()
	if s.err != nil || s.pos >= len(s.buf) {
		return Invalid
	}
	switch c := s.buf[s.pos]; {
	case c == '"':
		return String
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-' || '0' <= c && c <= '9':
		return Number
	}
	return Invalid
}

// Object iterates over the names of an object. The loop's body must consume
// the value of each and must not break. A name is valid within its turn.
func (s *Scanner) Object() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !s.open('{') {
			return
		}
		seen := nameSet{stack: &s.names, base: len(s.names)}
		defer seen.close()
		if s.closes('}') {
			return
		}
		for {
			s.space()
			at := s.pos
			name := s.text()
			if s.err != nil {
				return
			}
			if !seen.add(name) {
				s.failAt(at, "duplicated name"+Quotable(name))
				return
			}
			s.space()
			if !s.expect(':', "a colon") {
				return
			}
			yield(name)
			if s.closes('}') {
				return
			}
			if !s.expect(',', "a comma or the end of the object") {
				return
			}
		}
	}
}

// Array iterates over the indices of an array. The loop's body must consume
// each value and must not break.
func (s *Scanner) Array() iter.Seq[int] {
	return func(yield func(int) bool) {
		if !s.open('[') || s.closes(']') {
			return
		}
		for i := 0; ; i++ {
			yield(i)
			if s.closes(']') {
				return
			}
			if !s.expect(',', "a comma or the end of the array") {
				return
			}
		}
	}
}

// Text consumes a string and returns its characters. Where the string has no
// escapes they alias the text being scanned.
func (s *Scanner) Text() []byte {
	s.space()
	return s.text()
}

// String does what Text does. The characters are good for as long as the text
// being scanned is.
func (s *Scanner) String() string {
	text := s.Text()
	return unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // nobody writes to text, as New says
}

// Opaque returns the bytes between the next string's quotes, neither checked
// nor unescaped, and does not consume it. It ends at the first quote, escaped
// or not. Only a caller who finds every byte to be printable ASCII other than
// a backslash knows that this was the whole of a valid string; it then calls
// Consume, otherwise Text.
func (s *Scanner) Opaque() []byte {
	if s.Kind() != String {
		return nil
	}
	from := s.pos + 1
	n := bytes.IndexByte(s.buf[from:], '"')
	if n < 0 {
		return nil
	}
	return s.buf[from : from+n]
}

// Consume passes over a string that Opaque returned and its caller checked.
func (s *Scanner) Consume(opaque []byte) { s.pos += len(opaque) + 2 }

// Bool consumes a boolean.
func (s *Scanner) Bool() bool {
	if s.space(); s.err == nil && s.pos < len(s.buf) && s.buf[s.pos] == 't' {
		s.literal("true")
		return s.err == nil
	}
	s.literal("false")
	return false
}

// Null consumes a null.
func (s *Scanner) Null() {
	s.space()
	s.literal("null")
}

// Skip consumes any value, and checks it.
func (s *Scanner) Skip() {
	switch s.Kind() {
	case Null:
		s.literal("null")
	case Bool:
		s.Bool()
	case Number:
		s.number()
	case String:
		s.text()
	case Array:
		for range s.Array() {
			s.Skip()
		}
	case Object:
		for range s.Object() {
			s.Skip()
		}
	case Invalid:
		s.fail("want a value")
	}
}

func (s *Scanner) open(c byte) bool {
	s.space()
	if !s.expect(c, "an object or array") {
		return false
	}
	if s.depth++; s.depth > MaxDepth {
		s.failAt(s.pos-1, "nested deeper than "+strconv.Itoa(MaxDepth))
		return false
	}
	return true
}

// closes consumes the end of an object or array, if it stands here.
func (s *Scanner) closes(c byte) bool {
	s.space()
	if s.err != nil || s.pos >= len(s.buf) || s.buf[s.pos] != c {
		return false
	}
	s.pos++
	s.depth--
	return true
}

func (s *Scanner) expect(c byte, what string) bool {
	if s.err != nil {
		return false
	}
	if s.pos >= len(s.buf) || s.buf[s.pos] != c {
		s.fail("want " + what)
		return false
	}
	s.pos++
	return true
}

func (s *Scanner) space() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *Scanner) literal(word string) {
	if s.err != nil {
		return
	}
	if !bytes.HasPrefix(s.buf[s.pos:], []byte(word)) {
		s.fail("want a value")
		return
	}
	s.pos += len(word)
}

func (s *Scanner) number() {
	from := s.pos
	if s.at() == '-' {
		s.pos++
	}
	if s.at() == '0' {
		s.pos++
	} else if !s.digits() {
		return
	}
	integer := true
	if s.at() == '.' {
		s.pos++
		integer = false
		if !s.digits() {
			return
		}
	}
	if c := s.at(); c == 'e' || c == 'E' {
		s.pos++
		integer = false
		if c := s.at(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return
		}
	}
	if !fits(s.buf[from:s.pos], integer) {
		s.failAt(from, "number out of range")
	}
}

// fits reports whether others can hold a number: an integer in 64 bits,
// signed or unsigned, anything else in a double.
func fits(number []byte, integer bool) bool {
	const surely = 18 // digits that fit whatever they are
	if integer {
		if len(number) <= surely {
			return true
		}
		if number[0] == '-' {
			_, err := strconv.ParseInt(string(number), 10, 64)
			return err == nil
		}
		_, err := strconv.ParseUint(string(number), 10, 64)
		return err == nil
	}
	_, err := strconv.ParseFloat(string(number), 64)
	return err == nil
}

func (s *Scanner) digits() bool {
	from := s.pos
	for c := s.at(); '0' <= c && c <= '9'; c = s.at() {
		s.pos++
	}
	if s.pos == from {
		s.fail("want a digit")
		return false
	}
	return true
}

// at returns the byte at the position, 0 at the end.
func (s *Scanner) at() byte {
	if s.pos < len(s.buf) {
		return s.buf[s.pos]
	}
	return 0
}

func (s *Scanner) fail(what string) { s.failAt(s.pos, what) }

func (s *Scanner) failAt(offset int, what string) {
	if s.err != nil {
		return
	}
	if offset >= len(s.buf) {
		offset, what = len(s.buf), "the text ends here: "+what
	}
	s.err = &SyntaxError{Offset: offset, What: what}
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}
