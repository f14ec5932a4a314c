package tokenize

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestClassTables holds the tables of the byte-pair tokenizers to the spans that they were made from.
func TestClassTables(t *testing.T) {
	t.Parallel()
	check := func(name string, pages int, class func(rune) uint8, sets ...[]span) {
		if pages > 255 {
			t.Errorf("%s: %d distinct pages do not fit a byte", name, pages)
		}
		want := make([]uint8, utf8.MaxRune+1)
		for i, spans := range sets {
			for _, s := range spans {
				for r := s.lo; r <= s.hi; r++ {
					if want[r] != 0 {
						t.Fatalf("%s: U+%04X has two classes", name, r)
					}
					want[r] = uint8(i + 1)
				}
			}
		}
		for r := rune(0); r <= utf8.MaxRune; r++ {
			if got := class(r); got != want[r] {
				t.Fatalf("%s: U+%04X has class %d, want %d", name, r, got, want[r])
			}
		}
	}
	text, tweet, combining := textClasses(), tweetClasses(), normalFormC().combining
	check("text", len(text.classes), func(r rune) uint8 { return uint8(text.class(r)) }, letterSpans, numberSpans, whitespaceSpans)
	check("tweet", len(tweet.classes), func(r rune) uint8 { return uint8(tweet.class(r)) },
		tweetWordSpans, tweetDigitSpans, tweetSpaceSpans, tweetSeparatorSpans)
	check("combining", len(combining.classes), combining.class, combiningSpans...)
}

func TestNormalForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                    "",
		"abc":                 "abc",
		"e\u0301":             "é",
		"e\u0323\u0301":       "ẹ\u0301",
		"e\u0301\u0323":       "ẹ\u0301",
		"q\u0307\u0323":       "q\u0323\u0307",
		"\u212b\u2126":        "ÅΩ",
		"\u0958":              "\u0915\u093c", // excluded from composition
		"\u1100\u1161\u11a8":  "\uac01",
		"\uac00\u11a8":        "\uac01",
		"\uac01\u11a8":        "\uac01\u11a8",
		"\u1100\u1161\u11a7":  "\uac00\u11a7",
		"a\u0315\u0300\u05ae": "\u00e0\u05ae\u0315",
		"\u0301e":             "\u0301e",
	} {
		if got := string(normalFormC().apply(nil, []byte(in))); got != want {
			t.Errorf("%+q becomes %+q, want %+q", in, got, want)
		}
	}
}

// TestTweetSplitter has what each alternative of the original's expression takes, as Hugging Face's tokenizer splits it.
func TestTweetSplitter(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://a.b/c_(d)?e=f. x":        "http://a.b/c_(d)?e=f|.|x",
		"http://a(b(c)d) http:(((x":      "http://a(b(c)d|)|http|:(|(|(|x",
		"HTTPS:// x https:x http://.,":   "HTTPS|:/|/|x|https|:|x|http|:/|/|.|,",
		"t.co/aB, foo.na@example.com":    "t.co/aB|,|foo.na@example.com",
		"www.example.com @example.com":   "www.example.com|@example|.|com",
		"a-b.c-d.museum/x 1.2.3 e.g.":    "a-b.c-d.museum/|x|1.2|.|3|e|.|g|.",
		"+1 (800) 555-1234 5551234":      "+1 (800) 555-1234|5551234",
		":-) D: 8=P <3 >:( (-;":          ":-)|D:|8|=P|<3|>:(|(-;",
		"<b> <a b> --> <-- - >":          "<b>|<|a|b|>|-->|<--|-|>",
		"@user_1: #tag-x- ##a #b #c'":    "@user_1|:|#tag-x|-|#|#|a|#|b|#|c|'",
		"a.b+c@d-e.f.gh. x@y.z":          "a.b+c@d-e.f.gh|.|x|@y|.|z",
		"rock'n'roll x-ray a-- it's -5+": "rock'n'roll|x-ray|a|-|-|it's|-|5|+",
		"3/4 1,000- +2:30 ... . .":       "3/4|1,000-|+2:30|... . .",
	} {
		s := tweetSplitter{classes: tweetClasses(), text: []rune(in)}
		var got []string
		for i := 0; i < len(s.text); {
			if s.isSpace(i) {
				i++
				continue
			}
			end := s.next(i)
			got = append(got, string(s.text[i:end]))
			i = end
		}
		if want := strings.Split(want, "|"); !slices.Equal(got, want) {
			t.Errorf("%q is split into\n %q, want\n %q", in, got, want)
		}
	}
}

func TestNormalizer(t *testing.T) {
	t.Parallel()
	n := newNormalizer(BERTweetTokens)
	for in, want := range map[string]string{
		"":                                 "",
		"@nasa it’s 😂 ❤️ http://a.bc":      "@USER it 's :face_with_tears_of_joy: :red_heart: HTTPURL",
		"I cannot, can't or won't 5 p.m. ": "I can not , can't or wo n't 5 p.m.",
		"&amp;&lt;3 &#65;&#x42;&x43;&xi;":  "& <3 ABC",
		"&#x80;&#129;&#1_0;&#٦٥;&nope;|":   "€ A |",
		"&#xD800;&#x110000;&#-65;x":        "\U0010F000 x",
		"\ufe0f p . m .":                   "p.m.",
		"!!!!!! aaaaaa 1111111":            "! ! ! aaaaaa 1111111",
		"WWW.x HttpX &rsquo; &hellip; …":   "HTTPURL . x HTTPURL ' ... ...",
	} {
		if got := string(n.apply([]byte(in))); got != want {
			t.Errorf("%q becomes\n %q, want\n %q", in, got, want)
		}
	}
}

func TestPythonInt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		base int
		want int64
		ok   bool
	}{
		{"65", 10, 65, true},
		{"+65", 10, 65, true},
		{"-65", 10, -65, true},
		{"+-65", 10, 0, false},
		{"1_0", 10, 10, true},
		{"1__0", 10, 0, false},
		{"_1", 10, 0, false},
		{"1_", 10, 0, false},
		{"", 10, 0, false},
		{"\u066565", 10, 565, true},
		{"\x1c65\x1d", 10, 65, true},
		{"0x41", 16, 0x41, true},
		{"0X_41", 16, 0x41, true},
		{"-0x41", 16, -0x41, true},
		{"0x", 16, 0, false},
		{"0x41", 10, 0, false},
		{"aF", 16, 0xAF, true},
		{"99999999999999999999999", 10, 0, false},
		{"ａ", 16, 0, false},
	} {
		if got, ok := pythonInt([]rune(test.text), test.base); ok != test.ok || ok && got != test.want {
			t.Errorf("int(%q, %d) is %d, %t; want %d, %t", test.text, test.base, got, ok, test.want, test.ok)
		}
	}
}
