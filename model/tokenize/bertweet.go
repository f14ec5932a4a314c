package tokenize

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// BERTweetTokens is how many ids BERTweet's position table has room for.
const BERTweetTokens = 128

// BERTweet is the byte-pair encoding of characters that BERTweet was trained with, equal to Hugging Face's BertweetTokenizer.
//
// As there, <s>, <pad>, </s>, <unk> and <mask> are recognised when they stand in the text literally, and a line end behind a
// word belongs to the word.
type BERTweet struct {
	merges mergeTable
	// By symbol: the id of it inside a word (vocabularies write @@ behind it), and at the end of one.
	inner, last []int32
	// Characters, inside a word and at its end, to symbols.
	innerChar, lastChar map[rune]int32
	whole               map[string]int32 // words that the merges make one piece of
	specials            []specialToken
	classes             *classTable[tweetClass]
	normalize           *normalizer // nil: words as they are
	max                 int
}

var _ Tokenizer = (*BERTweet)(nil)

// Ids that are the same in every BERTweet vocabulary.
const (
	bertweetBOS = iota
	bertweetPad
	bertweetEOS
	bertweetUnknown
)

const (
	bertweetInner  = "@@"
	bertweetSuffix = "</w>"
)

// NewBERTweet reads vocab.txt (a piece and its count a line) and bpe.codes (two pieces and their count a line) as published.
// With normalize, mentions become @USER, links HTTPURL and emoji their names first; the published setting is without.
// maxTokens bounds what Encode appends, <s> and </s> included.
func NewBERTweet(vocab, codes io.Reader, normalize bool, maxTokens int) (*BERTweet, error) {
	if maxTokens < minTokens || maxTokens > BERTweetTokens {
		return nil, fmt.Errorf("tokenize: maxTokens is %d, must be between %d (<s> and </s>) and BERTweet's %d", maxTokens, minTokens, BERTweetTokens)
	}
	t := &BERTweet{
		merges:    mergeTable{},
		innerChar: map[rune]int32{},
		lastChar:  map[rune]int32{},
		whole:     map[string]int32{},
		classes:   tweetClasses(),
		max:       maxTokens,
	}
	if normalize {
		t.normalize = newNormalizer(maxTokens)
	}
	ids, err := t.readVocab(vocab)
	if err != nil {
		return nil, err
	}
	symbols := map[string]int32{}
	for word := range ids {
		symbolOf(symbols, strings.TrimSuffix(word, bertweetInner))
		symbolOf(symbols, word+bertweetSuffix)
		for _, r := range word {
			symbolOf(symbols, string(r))
			symbolOf(symbols, string(r)+bertweetSuffix)
		}
	}
	if err := t.readCodes(codes, symbols); err != nil {
		return nil, err
	}
	t.index(ids, symbols)
	return t, nil
}

func symbolOf(symbols map[string]int32, text string) int32 {
	n, ok := symbols[text]
	if !ok {
		n = int32(len(symbols)) //nolint:gosec // bounded by the size of the files
		symbols[text] = n
	}
	return n
}

func (t *BERTweet) readVocab(vocab io.Reader) (map[string]int32, error) {
	ids := map[string]int32{"<s>": bertweetBOS, "<pad>": bertweetPad, "</s>": bertweetEOS, "<unk>": bertweetUnknown}
	lines := bufio.NewScanner(vocab)
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimFunc(lines.Text(), isPythonSpace)
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 || !utf8.ValidString(line) {
			return nil, fmt.Errorf("tokenize: line %d of the vocabulary is %q, must be a piece and its count; is it BERTweet's vocab.txt?", number, line)
		}
		piece := line[:cut]
		if id, ok := ids[piece]; ok && id <= bertweetUnknown {
			return nil, fmt.Errorf("tokenize: line %d of the vocabulary is %s, which has the id %d without being listed; is it BERTweet's vocab.txt?", number, piece, id)
		}
		ids[piece] = int32(len(ids)) //nolint:gosec // bounded by the size of the file
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("tokenize: line %d of the vocabulary: %w", number+1, err)
	}
	if number == 0 {
		return nil, fmt.Errorf("tokenize: the vocabulary is empty")
	}
	if _, ok := ids["<mask>"]; !ok {
		ids["<mask>"] = int32(len(ids)) //nolint:gosec // bounded by the size of the file
	}
	for _, text := range []string{"<s>", "</s>", "<pad>", "<unk>", "<mask>"} {
		t.specials = append(t.specials, specialToken{text, int64(ids[text])})
	}
	return ids, nil
}

func (t *BERTweet) readCodes(codes io.Reader, symbols map[string]int32) error {
	lines := bufio.NewScanner(codes)
	var rank int32
	for ; lines.Scan(); rank++ {
		columns := strings.FieldsFunc(lines.Text(), isPythonSpace)
		if len(columns) != 3 || !utf8.ValidString(lines.Text()) {
			return fmt.Errorf("tokenize: line %d of the codes is %q, must be two pieces and their count (a file that save_vocabulary wrote lacks the counts: take the published bpe.codes)", rank+1, lines.Text())
		}
		left, right := symbolOf(symbols, columns[0]), symbolOf(symbols, columns[1])
		t.merges[pairKey(left, right)] = pairMerge{rank, symbolOf(symbols, columns[0]+columns[1])}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("tokenize: line %d of the codes: %w", rank+1, err)
	}
	if rank == 0 {
		return fmt.Errorf("tokenize: the codes are empty")
	}
	return nil
}

// index fills the tables from what has been read.
func (t *BERTweet) index(ids, symbols map[string]int32) {
	known := func(piece string) int32 {
		if id, ok := ids[piece]; ok {
			return id
		}
		return bertweetUnknown
	}
	t.inner, t.last = make([]int32, len(symbols)), make([]int32, len(symbols))
	for text, n := range symbols {
		word, isLast := strings.CutSuffix(text, bertweetSuffix)
		t.inner[n], t.last[n] = known(text+bertweetInner), bertweetUnknown
		if isLast {
			t.last[n] = known(word)
		}
		if r, size := utf8.DecodeRuneInString(text); size == len(text) && size > 0 {
			t.innerChar[r] = n
		}
		if r, size := utf8.DecodeRuneInString(word); isLast && size == len(word) && size > 0 {
			t.lastChar[r] = n
		}
	}
	m := new(merger)
	for word, id := range ids {
		if word == "" {
			continue
		}
		t.merge(m, []byte(word))
		if m.symbols[0].next < 0 && t.lastID(m.symbols[0].id) == id {
			t.whole[word] = id
		}
	}
}

func (t *BERTweet) lastID(symbol int32) int32 {
	if symbol == noSymbol {
		return bertweetUnknown
	}
	return t.last[symbol]
}

func (t *BERTweet) merge(m *merger, word []byte) {
	m.reset()
	for len(word) > 0 {
		r, size := utf8.DecodeRune(word)
		word = word[size:]
		chars := t.innerChar
		if len(word) == 0 {
			chars = t.lastChar
		}
		id, ok := chars[r]
		if !ok {
			id = noSymbol
		}
		m.add(id)
	}
	m.merge(t.merges, true)
}

// Encode appends <s>, the pieces of text, and </s>. Pieces beyond the maximum are cut off.
func (t *BERTweet) Encode(dst []int64, text string) []int64 {
	m := mergers.Get().(*merger)
	defer mergers.Put(m)
	m.scratch = appendValid(m.scratch[:0], text)
	ids, end := append(dst, bertweetBOS), len(dst)+t.max-1
	for rest := m.scratch; len(rest) > 0 && len(ids) < end; {
		segment, special, behind := cutSpecial(rest, t.specials)
		rest = behind
		if t.normalize != nil {
			segment = t.normalize.apply(segment)
		}
		ids = t.cut(ids, end, m, segment)
		if special != nil && len(ids) < end {
			ids = append(ids, special.id)
		}
	}
	return append(ids, bertweetEOS)
}

// cut appends the pieces of text, whose words are the matches of \S+\n?, to ids until they are end many.
func (t *BERTweet) cut(ids []int64, end int, m *merger, text []byte) []int64 {
	for len(ids) < end {
		text = text[spaceEnd(t.classes, text):]
		n := wordEnd(t.classes, text)
		if n == 0 {
			break
		}
		if n < len(text) && text[n] == '\n' {
			n++
		}
		ids = t.cutWord(ids, end, m, text[:n])
		text = text[n:]
	}
	return ids
}

func (t *BERTweet) cutWord(ids []int64, end int, m *merger, word []byte) []int64 {
	if id, ok := t.whole[string(word)]; ok {
		return append(ids, int64(id))
	}
	t.merge(m, word)
	for i := int32(0); len(ids) < end; i = m.symbols[i].next {
		s := m.symbols[i]
		switch {
		case s.next < 0:
			return append(ids, int64(t.lastID(s.id)))
		case s.id == noSymbol:
			ids = append(ids, bertweetUnknown)
		default:
			ids = append(ids, int64(t.inner[s.id]))
		}
	}
	return ids
}
