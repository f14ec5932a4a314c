package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// plain returns the position, from i on, of the first byte that does not
// stand for itself inside a string, or the length of text. That the whole text is valid UTF-8
// has been checked before. It looks at eight bytes at a time.
func plain(text []byte, i int) int {
	const (
		ones = 0x0101010101010101
		high = 0x80 * ones
	)
	for ; len(text)-i >= 8; i += 8 {
		v := binary.LittleEndian.Uint64(text[i:])
		quotes, slashes := v^'"'*ones, v^'\\'*ones
		// The lowest bit set is right; those above it may come of a borrow.
		if special := ((v-' '*ones)&^v | (quotes-ones)&^quotes | (slashes-ones)&^slashes) & high; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// text consumes a string at the position.
func (s *Scanner) text() []byte {
	if !s.expect('"', "a string") {
		return nil
	}
	from := s.pos
	i := plain(s.buf, from)
	s.pos = i
	if s.at() == '"' && i < len(s.buf) {
		s.pos++
		return s.buf[from:i]
	}
	return s.escaped(from)
}

// escaped goes on where text met an escape or a fault; the string began at
// from.
func (s *Scanner) escaped(from int) []byte {
	out := append(make([]byte, 0, 2*(s.pos-from)+64), s.buf[from:s.pos]...)
	for s.err == nil {
		run := s.pos
		s.pos = plain(s.buf, s.pos)
		out = append(out, s.buf[run:s.pos]...)
		switch c := s.at(); {
		case s.pos >= len(s.buf):
			s.fail("want the end of a string")
		case c == '"':
			s.pos++
			return out
		case c == '\\':
			out = s.escape(out)
		default:
			s.fail("control character in a string")
		}
	}
	return nil
}

// escape consumes one escape sequence and appends what it stands for.
func (s *Scanner) escape(out []byte) []byte {
	at := s.pos
	s.pos++
	c := s.at()
	s.pos++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := s.hex4(at)
		if utf16.IsSurrogate(r) {
			if s.at() != '\\' || s.pos+1 >= len(s.buf) || s.buf[s.pos+1] != 'u' {
				s.failAt(at, "lone surrogate")
				return out
			}
			s.pos += 2
			if r = utf16.DecodeRune(r, s.hex4(at)); r == utf8.RuneError {
				s.failAt(at, "lone surrogate")
				return out
			}
		}
		if r == 0 {
			s.failAt(at, "the character U+0000")
			return out
		}
		return utf8.AppendRune(out, r)
	}
	s.failAt(at, "unknown escape")
	return out
}

// hex4 consumes the four digits of an escape that began at. It returns a
// space when they are not there; the fault is recorded.
func (s *Scanner) hex4(at int) rune {
	if s.pos+4 <= len(s.buf) {
		if v, err := strconv.ParseUint(string(s.buf[s.pos:s.pos+4]), 16, 16); err == nil {
			s.pos += 4
			return rune(v)
		}
	}
	s.failAt(at, "want four hexadecimal digits")
	return ' '
}

// nameSet knows the names of one open object. Names lie on a stack that all
// open objects share; a map takes over when there are many, so that hostile
// objects cost no quadratic time.
type nameSet struct {
	stack *[][]byte
	base  int
	many  map[string]struct{}
}

const manyNames = 32

func (n *nameSet) add(name []byte) bool {
	if n.many != nil {
		if _, ok := n.many[string(name)]; ok {
			return false
		}
		n.many[string(name)] = struct{}{}
		return true
	}
	for _, other := range (*n.stack)[n.base:] {
		if string(other) == string(name) {
			return false
		}
	}
	*n.stack = append(*n.stack, name)
	if len(*n.stack)-n.base == manyNames {
		n.many = make(map[string]struct{}, 4*manyNames)
		for _, other := range (*n.stack)[n.base:] {
			n.many[string(other)] = struct{}{}
		}
	}
	return true
}

func (n *nameSet) close() { *n.stack = (*n.stack)[:n.base] }

// Quotable returns a name for an error message when it looks like a field's
// name, and nothing when it may be anything else.
func Quotable(name []byte) string {
	const longest = 40
	if len(name) == 0 || len(name) > longest {
		return ""
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '$', c == '.', c == '-':
		default:
			return ""
		}
	}
	return " " + strconv.Quote(string(name))
}
