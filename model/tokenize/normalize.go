package tokenize

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// normalizer rewrites a tweet as BERTweet's authors did before training: BertweetTokenizer.normalizeTweet.
type normalizer struct {
	classes *classTable[tweetClass]
	names   map[rune]string // of emoji
	tokens  int             // how many words of a tweet can matter
}

// fewestWords is how many tokens may become one word of the result ("p . m ."), with room to spare.
const fewestWords = 8

func newNormalizer(maxTokens int) *normalizer {
	return &normalizer{classes: tweetClasses(), names: emojiByRune(), tokens: fewestWords * (maxTokens + 1)}
}

var (
	emojiByRune  = sync.OnceValue(func() map[rune]string { return records(emojiNames) })
	entityByName = sync.OnceValue(func() map[string]rune {
		m := map[string]rune{}
		for line := range strings.Lines(entityNames) {
			r, size := utf8.DecodeLastRuneInString(strings.TrimSuffix(line, "\n"))
			m[line[:len(line)-1-size]] = r
		}
		return m
	})
	curlyPunctuation = strings.NewReplacer("’", "'", "…", "...")
)

// rewrites are made one after the other on the whole tweet.
var rewrites = [][2]string{
	{"cannot ", "can not "},
	{"n't ", " n't "},
	{"n 't ", " n't "},
	{"ca n't", "can't"},
	{"ai n't", "ain't"},
	{"'m ", " 'm "},
	{"'re ", " 're "},
	{"'s ", " 's "},
	{"'ll ", " 'll "},
	{"'d ", " 'd "},
	{"'ve ", " 've "},
	{" p . m .", "  p.m."},
	{" p . m ", " p.m "},
	{" a . m .", " a.m."},
	{" a . m ", " a.m "},
}

// apply returns the normal form of tweet. Words far beyond those that the tokenizer has room for may be missing.
func (n *normalizer) apply(tweet []byte) []byte {
	text := n.shorten(n.replaceEntities([]rune(curlyPunctuation.Replace(string(tweet)))))
	s := tweetSplitter{classes: n.classes, text: text}
	var out strings.Builder
	for i, count, isFirst := 0, 0, true; i < len(text) && count < n.tokens; isFirst = false {
		i = s.while(i, s.isSpace)
		if i == len(text) {
			break
		}
		end := s.next(i)
		token := n.token(text[i:end])
		if i = end; token != "" {
			count++
		}
		// Also behind a token that has become nothing (U+FE0F): the rewrites see the space.
		if !isFirst {
			out.WriteByte(' ')
		}
		out.WriteString(token)
	}
	normal := out.String()
	for _, rewrite := range rewrites {
		normal = strings.ReplaceAll(normal, rewrite[0], rewrite[1])
	}
	return bytes.Join(bytes.FieldsFunc([]byte(normal), isPythonSpace), []byte{' '})
}

func (n *normalizer) token(text []rune) string {
	token := string(text)
	switch {
	case text[0] == '@':
		return "@USER"
	case hasPrefixFold(token, "http"), hasPrefixFold(token, "www"):
		return "HTTPURL"
	case len(text) > 1:
		return token
	}
	if name, ok := n.names[text[0]]; ok {
		return name
	}
	return curlyPunctuation.Replace(token)
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// shorten cuts runs of more than three of a character that is no ASCII letter or digit to three, in place.
func (n *normalizer) shorten(text []rune) []rune {
	kept, run := 0, 0
	for i, r := range text {
		if i == 0 || r != text[kept-1] {
			run = 0
		}
		if run++; run > 3 && !isASCIIAlphanumeric(r) {
			continue
		}
		text[kept] = r
		kept++
	}
	return text[:kept]
}

func isASCIIAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// replaceEntities replaces the matches of &(#?(x?))([^&;\s]+); by what they stand for, in place. Those that stand for
// nothing vanish.
func (n *normalizer) replaceEntities(text []rune) []rune {
	kept := 0
	for i := 0; i < len(text); i++ {
		text[kept] = text[i]
		kept++
		if text[i] != '&' {
			continue
		}
		end := i + 1
		for end < len(text) && text[end] != '&' && text[end] != ';' && n.classes.class(text[end]) != tweetSpace {
			end++
		}
		if end == len(text) || text[end] != ';' || end == i+1 {
			continue
		}
		kept--
		if r, ok := n.entity(text[i+1 : end]); ok {
			text[kept] = r
			kept++
		}
		i = end
	}
	return text[:kept]
}

// entity is the character that an entity stands for. A number needs a # or an x before it: the original's expression has
// made the # optional.
func (n *normalizer) entity(body []rune) (rune, bool) {
	base, digits := 0, body
	if digits[0] == '#' && len(digits) > 1 {
		base, digits = 10, digits[1:]
	}
	if digits[0] == 'x' && len(digits) > 1 {
		base, digits = 16, digits[1:]
	}
	if base == 0 {
		r, ok := entityByName()[string(body)]
		return r, ok
	}
	number, ok := pythonInt(digits, base)
	switch {
	case !ok || number < 0 || number > utf8.MaxRune:
		return 0, false
	case 0x80 <= number && number <= 0x9F:
		r := []rune(windows1252)[number-0x80]
		return r, r != utf8.RuneError
	case !utf8.ValidRune(rune(number)):
		// Python has half a surrogate pair here, which is in no vocabulary. Neither is this, from the end of the last
		// private plane, and halves stay as different from each other as they were.
		return rune(number) - 0xD800 + 0x10F000, true
	}
	return rune(number), true
}

// pythonInt is int(text, base): decimal digits of any script, spaces around, a sign, single underscores between digits, and
// 0x before hexadecimal ones.
func pythonInt(text []rune, base int) (int64, bool) {
	var ascii []byte
	for _, r := range text {
		switch value, ok := decimalValue(r); {
		case ok:
			ascii = append(ascii, '0'+value)
		case isPythonSpace(r):
			ascii = append(ascii, ' ')
		case r < utf8.RuneSelf:
			ascii = append(ascii, byte(r)) //nolint:gosec // ASCII
		default:
			return 0, false
		}
	}
	number := strings.Trim(string(ascii), " ")
	sign, digits := "", number
	if number != "" && (number[0] == '+' || number[0] == '-') {
		sign, digits = number[:1], number[1:]
	}
	if base == 16 && len(digits) > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') {
		digits = strings.TrimPrefix(digits[2:], "_")
	}
	if strings.HasPrefix(digits, "_") || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") ||
		strings.HasPrefix(digits, "+") || strings.HasPrefix(digits, "-") {
		return 0, false
	}
	value, err := strconv.ParseInt(sign+strings.ReplaceAll(digits, "_", ""), base, 64)
	return value, err == nil
}

func decimalValue(r rune) (byte, bool) {
	if r < utf8.RuneSelf {
		return byte(r - '0'), '0' <= r && r <= '9' //nolint:gosec // a digit
	}
	for _, s := range decimalSpans {
		if s.lo <= r && r <= s.hi {
			return byte((r - s.lo) % 10), true //nolint:gosec // a digit
		}
	}
	return 0, false
}
