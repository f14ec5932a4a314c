package tokenize

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWordChars is BERT's limit: a longer word is unknown as a whole.
const maxWordChars = 100

// minTokens leaves room for [CLS] and [SEP].
const minTokens = 2

// WordPiece is BERT's tokenizer, equal to Hugging Face's BertTokenizerFast with its default settings.
//
// As there, the special tokens [PAD], [UNK], [CLS], [SEP] and [MASK] are recognised when they stand in the text literally
// (case matters), anywhere, even inside a word. A post can therefore contain a [SEP]: the original has this property and a
// model has learnt with it.
type WordPiece struct {
	chars     *charTable
	lowercase bool
	max       int

	heads   map[string]int64 // pieces that start a word
	tails   map[string]int64 // pieces that continue one, without their ##
	longest int              // bytes of the longest piece

	specials      []specialToken
	unk, cls, sep int64
}

type specialToken struct {
	text string
	id   int64
}

var _ Tokenizer = (*WordPiece)(nil)

// NewWordPiece reads a vocabulary, one piece a line in the order of ids. With lowercase, text is lowercased and stripped of
// accents (the uncased models). maxTokens bounds what Encode appends, [CLS] and [SEP] included.
func NewWordPiece(vocab io.Reader, lowercase bool, maxTokens int) (*WordPiece, error) {
	if maxTokens < minTokens {
		return nil, fmt.Errorf("tokenize: maxTokens is %d, the least is %d ([CLS] and [SEP])", maxTokens, minTokens)
	}
	w := &WordPiece{
		chars:     bertChars(),
		lowercase: lowercase,
		max:       maxTokens,
		heads:     map[string]int64{},
		tails:     map[string]int64{},
	}
	lines := bufio.NewScanner(vocab)
	var id int64
	for ; lines.Scan(); id++ {
		piece := strings.TrimRightFunc(lines.Text(), unicode.IsSpace)
		if !utf8.ValidString(piece) {
			return nil, fmt.Errorf("tokenize: line %d of the vocabulary is not UTF-8", id+1)
		}
		if tail, ok := strings.CutPrefix(piece, "##"); ok && tail != "" {
			w.tails[tail] = id
			w.longest = max(w.longest, len(tail))
			continue
		}
		w.heads[piece] = id
		w.longest = max(w.longest, len(piece))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("tokenize: line %d of the vocabulary: %w", id+1, err)
	}
	if err := w.findSpecials(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *WordPiece) findSpecials() error {
	var missing []error
	for _, s := range []struct {
		text string
		id   *int64
	}{{"[UNK]", &w.unk}, {"[CLS]", &w.cls}, {"[SEP]", &w.sep}, {"[PAD]", nil}, {"[MASK]", nil}} {
		id, ok := w.heads[s.text]
		switch {
		case ok:
			w.specials = append(w.specials, specialToken{s.text, id})
			if s.id != nil {
				*s.id = id
			}
		case s.id != nil:
			missing = append(missing, fmt.Errorf("tokenize: the vocabulary has no %s; is it a BERT vocab.txt, one piece a line?", s.text))
		}
	}
	return errors.Join(missing...)
}

// Encode appends [CLS], the pieces of text, and [SEP]. Pieces beyond the maximum are cut off, and text behind them is not
// looked at.
func (w *WordPiece) Encode(dst []int64, text string) []int64 {
	e := encoding{w: w, ids: append(dst, w.cls), end: len(dst) + w.max - 1}
	for i := 0; i < len(text) && len(e.ids) < e.end; {
		if text[i] == '[' {
			if s, ok := w.specialAt(text[i:]); ok {
				e.endWord()
				e.add(s.id)
				i += len(s.text)
				continue
			}
		}
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		e.read(r)
		i += size
	}
	e.endWord()
	return append(e.ids, w.sep)
}

func (w *WordPiece) specialAt(text string) (specialToken, bool) {
	for _, s := range w.specials {
		if strings.HasPrefix(text, s.text) {
			return s, true
		}
	}
	return specialToken{}, false
}

// encoding is one text being read. The word at hand lies in an array, so that a text of any length takes no memory but
// its ids'.
type encoding struct {
	w   *WordPiece
	ids []int64
	end int // len(ids) at which only [SEP] has room

	word  [maxWordChars * utf8.UTFMax]byte
	bytes int // of word
	runes int // of the word as it stands in the text, beyond what word holds when it is too long
}

// read takes in one character of the text.
func (e *encoding) read(r rune) {
	class := e.w.chars.class(r)
	switch class {
	case letter:
	case dropped:
		return
	case space:
		e.endWord()
		return
	case punctuation, ideograph:
	case mark:
		if e.w.lowercase {
			return
		}
	}
	if !e.w.lowercase {
		e.put(r, class)
		return
	}
	var buffer [4]rune
	for _, f := range e.w.chars.fold(buffer[:0], r) {
		// ≠ folds to =, which is punctuation though ≠ was not.
		if class != ideograph {
			class = e.w.chars.class(f)
		}
		e.put(f, class)
	}
}

func (e *encoding) put(r rune, class charClass) {
	alone := class == punctuation || class == ideograph
	if alone {
		e.endWord()
	}
	if e.runes < maxWordChars {
		e.bytes += utf8.EncodeRune(e.word[e.bytes:], r)
	}
	e.runes++
	if alone {
		e.endWord()
	}
}

func (e *encoding) add(id int64) {
	if len(e.ids) < e.end {
		e.ids = append(e.ids, id)
	}
}

// endWord cuts the word at hand into the longest pieces from the left; a word that cannot be cut is unknown as a whole.
func (e *encoding) endWord() {
	word := e.word[:e.bytes]
	tooLong := e.runes > maxWordChars
	e.bytes, e.runes = 0, 0
	if len(word) == 0 || len(e.ids) >= e.end {
		return
	}
	if tooLong {
		e.add(e.w.unk)
		return
	}
	start := len(e.ids)
	pieces := e.w.heads
	for len(word) > 0 {
		id, size := e.w.longestPiece(pieces, word)
		if size == 0 {
			e.ids = e.ids[:start]
			e.add(e.w.unk)
			return
		}
		// Not add: a piece beyond the end still decides whether the word is unknown.
		e.ids = append(e.ids, id)
		word = word[size:]
		pieces = e.w.tails
	}
	e.ids = e.ids[:min(len(e.ids), e.end)]
}

func (w *WordPiece) longestPiece(pieces map[string]int64, word []byte) (id int64, size int) {
	for size = min(len(word), w.longest); size > 0; size-- {
		if size < len(word) && !utf8.RuneStart(word[size]) {
			continue
		}
		if id, ok := pieces[string(word[:size])]; ok {
			return id, size
		}
	}
	return 0, 0
}
