package tokenize

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// CLIP is the lower-casing byte-pair encoding of CLIP, equal to Hugging Face's CLIPTokenizerFast: normal form C and lower
// case, no repair of broken encodings (ftfy), which only the original code does. Encode does not pad.
//
// As there, <|startoftext|> and <|endoftext|> are recognised when they stand in the text literally.
type CLIP struct {
	bpe      *byteBPE
	classes  *classTable[textClass]
	normal   *normalForm
	lower    map[rune]string
	max      int
	specials []specialToken
	bos, eos int64
}

var _ Tokenizer = (*CLIP)(nil)

var lowerCase = sync.OnceValue(func() map[rune]string { return records(lowered) })

const (
	clipStart, clipEnd = "<|startoftext|>", "<|endoftext|>"
	clipSuffix         = "</w>"
)

// NewCLIP reads vocab.json and merges.txt as published. maxTokens bounds what Encode appends, <|startoftext|> and
// <|endoftext|> included.
func NewCLIP(vocab, merges io.Reader, maxTokens int) (*CLIP, error) {
	if maxTokens < minTokens {
		return nil, fmt.Errorf("tokenize: maxTokens is %d, the least is %d (%s and %s)", maxTokens, minTokens, clipStart, clipEnd)
	}
	bpe, err := newByteBPE(vocab, merges, clipSuffix)
	if err != nil {
		return nil, err
	}
	specials, err := bpe.specials(clipStart, clipEnd)
	if err != nil {
		return nil, fmt.Errorf("%w; is it a CLIP vocab.json?", err)
	}
	return &CLIP{
		bpe:      bpe,
		classes:  textClasses(),
		normal:   normalFormC(),
		lower:    lowerCase(),
		max:      maxTokens,
		specials: specials,
		bos:      specials[0].id,
		eos:      specials[1].id,
	}, nil
}

// Encode appends <|startoftext|>, the pieces of text, and <|endoftext|>. Pieces beyond the maximum are cut off.
func (t *CLIP) Encode(dst []int64, text string) []int64 {
	m := mergers.Get().(*merger)
	defer mergers.Put(m)
	m.scratch = appendValid(m.scratch[:0], text)
	ids, end := append(dst, t.bos), len(dst)+t.max-1
	for rest := m.scratch; len(rest) > 0 && len(ids) < end; {
		segment, special, behind := cutSpecial(rest, t.specials)
		rest = behind
		m.folded = t.fold(m, segment)
		for folded := m.folded; len(folded) > 0 && len(ids) < end; {
			n, isWord := t.word(folded)
			switch {
			case isWord && n >= len(clipEnd) && t.isSpecial(folded[:n]):
				for _, part := range [][]byte{folded[:2], folded[2 : n-2], folded[n-2 : n]} {
					ids = t.bpe.cut(ids, end, m, part)
				}
			case isWord:
				ids = t.bpe.cut(ids, end, m, folded[:n])
			}
			folded = folded[n:]
		}
		if special != nil && len(ids) < end {
			ids = append(ids, special.id)
		}
	}
	return append(ids, t.eos)
}

// fold is text in normal form and lower case.
func (t *CLIP) fold(m *merger, text []byte) []byte {
	out := m.folded[:0]
	if !reaches(text, composedBelow) {
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			out = t.appendLower(out, r)
			text = text[size:]
		}
		return out
	}
	m.runes = t.normal.apply(m.runes[:0], text)
	for _, r := range m.runes {
		out = t.appendLower(out, r)
	}
	return out
}

// reaches tells whether text has a code point from limit on.
func reaches(text []byte, limit rune) bool {
	return bytes.IndexFunc(text, func(r rune) bool { return r >= limit }) >= 0
}

func (t *CLIP) appendLower(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		if asciiUpperFirst <= r && r <= asciiUpperLast {
			r += asciiCaseDistance
		}
		return append(dst, byte(r)) //nolint:gosec // ASCII
	}
	if lower, ok := t.lower[r]; ok {
		return append(dst, lower...)
	}
	return utf8.AppendRune(dst, r)
}

// word is the length of the first word of text, which is not empty, or of the space before it. Words are the matches of
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//
// The first two are in text when it had them in capitals.
func (t *CLIP) word(text []byte) (n int, isWord bool) {
	switch text[0] {
	case '\'':
		if n = contraction(text); n > 0 {
			return n, true
		}
	case '<':
		for _, s := range t.specials {
			if bytes.HasPrefix(text, []byte(s.text)) {
				return len(s.text), true
			}
		}
	}
	class, size := classAt(t.classes, text)
	switch class {
	case textSpace:
		return size, false
	case textNumber:
		return size, true
	case textLetter, textOther:
	}
	return runOf(t.classes, class, text), true
}

// isSpecial tells whether word is spelt like a special token. The original cuts its words once more, by GPT-2's expression
// (RoBERTa.word), which takes only these apart.
func (t *CLIP) isSpecial(word []byte) bool {
	return string(word) == clipStart || string(word) == clipEnd
}
