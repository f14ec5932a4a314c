package tokenize

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// textClass is what the splitting expressions of the byte-level tokenizers tell apart.
type textClass uint8

const (
	textOther  textClass = iota
	textLetter           // \p{L}
	textNumber           // \p{N}
	textSpace            // \s
)

var textClasses = sync.OnceValue(func() *classTable[textClass] {
	return newClassTable(
		classSpans[textClass]{textLetter, letterSpans},
		classSpans[textClass]{textNumber, numberSpans},
		classSpans[textClass]{textSpace, whitespaceSpans},
	)
})

// byteBPE cuts words into pieces of bytes: the byte-pair encoding of GPT-2, RoBERTa and CLIP.
type byteBPE struct {
	vocab  map[string]int32
	merges mergeTable
	inner  [256]int32       // the symbol of each byte inside a word
	last   [256]int32       // and at its end
	whole  map[string]int32 // words that the merges make one piece of
}

// newByteBPE reads vocab.json (pieces to ids) and merges.txt (a pair a line, the earlier the sooner it is joined). The last
// piece of a word ends in suffix.
func newByteBPE(vocab, merges io.Reader, suffix string) (*byteBPE, error) {
	b := &byteBPE{merges: mergeTable{}, whole: map[string]int32{}}
	if err := b.readVocab(vocab); err != nil {
		return nil, err
	}
	letters := byteLetters()
	for value, letter := range letters {
		for into, piece := range map[*int32]string{&b.inner[value]: string(letter), &b.last[value]: string(letter) + suffix} {
			id, ok := b.vocab[piece]
			if !ok {
				return nil, fmt.Errorf("tokenize: the vocabulary has no piece %q for the byte 0x%02x; is it the vocab.json of a byte-level tokenizer?", piece, value)
			}
			*into = id
		}
	}
	if err := b.readMerges(merges); err != nil {
		return nil, err
	}
	b.findWhole(letters, suffix)
	return b, nil
}

func (b *byteBPE) readVocab(vocab io.Reader) error {
	if err := json.NewDecoder(vocab).Decode(&b.vocab); err != nil {
		return fmt.Errorf("tokenize: the vocabulary is not a JSON object of pieces and their ids: %w", err)
	}
	for piece, id := range b.vocab {
		if id < 0 {
			return fmt.Errorf("tokenize: the vocabulary gives %q the id %d", piece, id)
		}
	}
	return nil
}

func (b *byteBPE) readMerges(merges io.Reader) error {
	lines := bufio.NewScanner(merges)
	var rank int32
	number := 0
	for lines.Scan() {
		number++
		line := lines.Text()
		if strings.HasPrefix(line, "#version") || line == "" {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return fmt.Errorf("tokenize: line %d of the merges is %q, must be two pieces with a space between", number, line)
		}
		ids := [3]int32{}
		for i, piece := range []string{left, right, left + right} {
			if ids[i], ok = b.vocab[piece]; !ok {
				return fmt.Errorf("tokenize: line %d of the merges: the vocabulary has no piece %q; do the two files belong together?", number, piece)
			}
		}
		b.merges[pairKey(ids[0], ids[1])] = pairMerge{rank, ids[2]}
		if rank == math.MaxInt32 {
			return errors.New("tokenize: too many merges")
		}
		rank++
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("tokenize: line %d of the merges: %w", number+1, err)
	}
	if rank == 0 {
		return errors.New("tokenize: the merges are empty")
	}
	return nil
}

// findWhole notes the words that need no merging when they are read.
func (b *byteBPE) findWhole(letters [256]rune, suffix string) {
	values := make(map[rune]byte, len(letters))
	for value, letter := range letters {
		values[letter] = byte(value)
	}
	m := new(merger)
	for piece, id := range b.vocab {
		word, ok := strings.CutSuffix(piece, suffix)
		if !ok || word == "" {
			continue
		}
		m.scratch = m.scratch[:0]
		for _, letter := range word {
			value, known := values[letter]
			if !known {
				m.scratch = nil
				break
			}
			m.scratch = append(m.scratch, value)
		}
		if len(m.scratch) == 0 {
			continue
		}
		b.merge(m, m.scratch)
		if m.symbols[0].next < 0 && m.symbols[0].id == id {
			b.whole[string(m.scratch)] = id
		}
	}
}

func (b *byteBPE) merge(m *merger, word []byte) {
	m.reset()
	for _, value := range word[:len(word)-1] {
		m.add(b.inner[value])
	}
	m.add(b.last[word[len(word)-1]])
	m.merge(b.merges, false)
}

// cut appends the pieces of word to ids until they are end many.
func (b *byteBPE) cut(ids []int64, end int, m *merger, word []byte) []int64 {
	if len(ids) >= end {
		return ids
	}
	if id, ok := b.whole[string(word)]; ok {
		return append(ids, int64(id))
	}
	b.merge(m, word)
	for i := int32(0); i >= 0 && len(ids) < end; i = m.symbols[i].next {
		ids = append(ids, int64(m.symbols[i].id))
	}
	return ids
}

// specials looks up tokens that are no pieces.
func (b *byteBPE) specials(texts ...string) ([]specialToken, error) {
	var found []specialToken
	var missing []error
	for _, text := range texts {
		id, ok := b.vocab[text]
		if !ok {
			missing = append(missing, fmt.Errorf("tokenize: the vocabulary has no %s", text))
		}
		found = append(found, specialToken{text, int64(id)})
	}
	return found, errors.Join(missing...)
}

// byteLetters are the characters that byte-level vocabularies write bytes as: printable Latin-1 as it is, all else from
// U+0100 on.
func byteLetters() [256]rune {
	var letters [256]rune
	next := rune(0x100)
	for value := range letters {
		r := rune(value)
		if '!' <= r && r <= '~' || '¡' <= r && r <= '¬' || '®' <= r {
			letters[value] = r
			continue
		}
		letters[value] = next
		next++
	}
	return letters
}

// appendValid appends text, each byte that is not UTF-8 as U+FFFD.
func appendValid(dst []byte, text string) []byte {
	if utf8.ValidString(text) {
		return append(dst, text...)
	}
	for _, r := range text {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// cutSpecial splits text at the first special token in it: what stands before and behind, and the token, nil when there is
// none. All special tokens start with <.
func cutSpecial(text []byte, specials []specialToken) (before []byte, found *specialToken, behind []byte) {
	for i := 0; ; i++ {
		next := bytes.IndexByte(text[i:], '<')
		if next < 0 {
			return text, nil, nil
		}
		i += next
		at := slices.IndexFunc(specials, func(s specialToken) bool {
			return len(text)-i >= len(s.text) && string(text[i:i+len(s.text)]) == s.text
		})
		if at >= 0 {
			return text[:i], &specials[at], text[i+len(specials[at].text):]
		}
	}
}

// contraction is the length of a contraction at the start of text, which starts with an apostrophe; 0: none.
func contraction(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(text) < 3 {
		return 0
	}
	switch string(text[1:3]) {
	case "re", "ve", "ll":
		return 3
	}
	return 0
}

// classAt is the class of the character at the start of text, and its length.
func classAt(t *classTable[textClass], text []byte) (textClass, int) {
	if text[0] < utf8.RuneSelf {
		return t.class(rune(text[0])), 1
	}
	r, size := utf8.DecodeRune(text)
	return t.class(r), size
}

// runOf is the length of the run of class at the start of text.
func runOf(t *classTable[textClass], class textClass, text []byte) int {
	n := 0
	for n < len(text) {
		c, size := classAt(t, text[n:])
		if c != class {
			break
		}
		n += size
	}
	return n
}
