package tokenize_test

import (
	"bytes"
	"io/fs"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostileStrings makes the strings that testdata/golden.py makes, by the same arithmetic.
type hostileStrings struct{ vocab, fragments []string }

func newHostileStrings(t testing.TB) hostileStrings {
	t.Helper()
	return hostileStrings{vocab: fileLines(t, vocabFile), fragments: fileLines(t, "fragments.txt")}
}

func fileLines(t testing.TB, name string) []string {
	t.Helper()
	content, err := fs.ReadFile(os.DirFS("testdata"), name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// splitMix64 is the generator of that name.
type splitMix64 uint64

func (s *splitMix64) below(n int) int {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return int((z ^ z>>31) % uint64(n))
}

var hostileBlocks = [][2]rune{
	{0x20, 0x7E},
	{0x00, 0x2FF},
	{0x300, 0x36F},
	{0x370, 0x58F},
	{0x590, 0x8FF},
	{0x900, 0xDFF},
	{0xE00, 0x10FF},
	{0x1100, 0x11FF},
	{0x1200, 0x1CFF},
	{0x1D00, 0x1FFF},
	{0x2000, 0x2BFF},
	{0x2C00, 0x2FFF},
	{0x3000, 0x33FF},
	{0x3400, 0x9FFF},
	{0xA000, 0xABFF},
	{0xAC00, 0xD7A3},
	{0xE000, 0xF8FF},
	{0xF900, 0xFFFF},
	{0x10000, 0x11FFF},
	{0x12000, 0x1FFFF},
	{0x20000, 0x2FFFF},
	{0x30000, 0x323AF},
	{0xE0000, 0xE01EF},
	{0xF0000, 0x10FFFF},
}

func (h hostileStrings) at(index int) string {
	draw := splitMix64(index)
	var text []byte
	for range draw.below(16) + 1 {
		kind := draw.below(12)
		switch {
		case kind < 2:
			text = append(text, h.fragments[draw.below(len(h.fragments))]...)
		case kind < 5:
			text = append(text, strings.TrimPrefix(h.vocab[draw.below(len(h.vocab))], "##")...)
		case kind == 5:
			text = append(text, asciiUpper(h.vocab[draw.below(len(h.vocab))])...)
		case kind < 10:
			block := hostileBlocks[draw.below(len(hostileBlocks))]
			for range draw.below(5) + 1 {
				text = utf8.AppendRune(text, block[0]+rune(draw.below(int(block[1]-block[0]+1))))
			}
		case kind == 10:
			letter := byte('a' + draw.below(26))
			text = append(text, bytes.Repeat([]byte{letter}, draw.below(3)*49+draw.below(3))...)
		}
		if draw.below(3) > 0 {
			text = append(text, ' ')
		}
	}
	return string(text)
}

func asciiUpper(s string) string {
	upper := []byte(s)
	for i, c := range upper {
		if 'a' <= c && c <= 'z' {
			upper[i] -= 'a' - 'A'
		}
	}
	return string(upper)
}
