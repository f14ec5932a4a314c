package tokenize

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// RoBERTa is the byte-level byte-pair encoding of RoBERTa, equal to Hugging Face's RobertaTokenizerFast.
//
// As there, <s>, <pad>, </s>, <unk> and <mask> are recognised when they stand in the text literally, and <mask> takes the
// spaces before it along, as the published tokenizer.json says.
type RoBERTa struct {
	bpe      *byteBPE
	classes  *classTable[textClass]
	max      int
	specials []specialToken
	bos, eos int64
}

var _ Tokenizer = (*RoBERTa)(nil)

const robertaMask = "<mask>"

// NewRoBERTa reads vocab.json and merges.txt as published. maxTokens bounds what Encode appends, <s> and </s> included.
func NewRoBERTa(vocab, merges io.Reader, maxTokens int) (*RoBERTa, error) {
	if maxTokens < minTokens {
		return nil, fmt.Errorf("tokenize: maxTokens is %d, the least is %d (<s> and </s>)", maxTokens, minTokens)
	}
	bpe, err := newByteBPE(vocab, merges, "")
	if err != nil {
		return nil, err
	}
	specials, err := bpe.specials("<s>", "</s>", "<pad>", "<unk>", robertaMask)
	if err != nil {
		return nil, fmt.Errorf("%w; is it a RoBERTa vocab.json?", err)
	}
	return &RoBERTa{
		bpe:      bpe,
		classes:  textClasses(),
		max:      maxTokens,
		specials: specials,
		bos:      specials[0].id,
		eos:      specials[1].id,
	}, nil
}

// Encode appends <s>, the pieces of text, and </s>. Pieces beyond the maximum are cut off.
func (t *RoBERTa) Encode(dst []int64, text string) []int64 {
	m := mergers.Get().(*merger)
	defer mergers.Put(m)
	m.scratch = appendValid(m.scratch[:0], text)
	ids, end := append(dst, t.bos), len(dst)+t.max-1
	for rest := m.scratch; len(rest) > 0 && len(ids) < end; {
		segment, special, behind := cutSpecial(rest, t.specials)
		rest = behind
		if special != nil && special.text == robertaMask {
			segment = t.trimRight(segment)
		}
		for len(segment) > 0 && len(ids) < end {
			n := t.word(segment)
			ids = t.bpe.cut(ids, end, m, segment[:n])
			segment = segment[n:]
		}
		if special != nil && len(ids) < end {
			ids = append(ids, special.id)
		}
	}
	return append(ids, t.eos)
}

func (t *RoBERTa) trimRight(text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeLastRune(text)
		if t.classes.class(r) != textSpace {
			break
		}
		text = text[:len(text)-size]
	}
	return text
}

// word is the length of the first match in text, which is not empty, of GPT-2's splitting expression
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// One space goes with the word behind it; of more spaces, all but the last stand alone.
func (t *RoBERTa) word(text []byte) int {
	if text[0] == '\'' {
		if n := contraction(text); n > 0 {
			return n
		}
	}
	class, size := classAt(t.classes, text)
	if class != textSpace {
		return runOf(t.classes, class, text)
	}
	before, n := 0, size
	for n < len(text) {
		if class, size = classAt(t.classes, text[n:]); class != textSpace {
			break
		}
		before, n = n, n+size
	}
	switch {
	case n == len(text) || before == 0 && text[0] != ' ':
		return n
	case before > 0:
		return before
	}
	return n + runOf(t.classes, class, text[n:])
}
