package tokenize

import "strings"

// tweetSplitter cuts a tweet into words, links, mentions, emoticons and so on as NLTK's TweetTokenizer does.
//
// The original is one expression of alternatives, tried in order at each place by an engine that backtracks. Here each
// alternative is a method that returns where the first match of that engine would end, or none: expressions nested like that
// of links take a backtracking engine time exponential in the length of a hostile text, these methods are linear.
type tweetSplitter struct {
	classes *classTable[tweetClass]
	text    []rune

	// What one token has looked ahead for is kept for the next.
	links              linkTails
	hosts, names, tags run
	domains            domainChain
}

// run is one that while has found.
type run struct{ start, end int }

const none = -1

// next returns the end of the token that starts at i, which is no space.
func (s *tweetSplitter) next(i int) int {
	for _, match := range []func(*tweetSplitter, int) int{
		(*tweetSplitter).link,
		(*tweetSplitter).domain,
		(*tweetSplitter).phone,
		(*tweetSplitter).emoticon,
		(*tweetSplitter).tag,
		(*tweetSplitter).arrow,
		(*tweetSplitter).mention,
		(*tweetSplitter).hashtag,
		(*tweetSplitter).email,
		(*tweetSplitter).compound,
		(*tweetSplitter).number,
		(*tweetSplitter).word,
		(*tweetSplitter).ellipsis,
	} {
		if end := match(s, i); end != none {
			return end
		}
	}
	return i + 1
}

// at is the character at i, 0 behind the end. (A NUL in the text is in no set that is asked for, and neither is the end.)
func (s *tweetSplitter) at(i int) rune {
	if i < 0 || i >= len(s.text) {
		return 0
	}
	return s.text[i]
}

func (s *tweetSplitter) class(i int) tweetClass {
	if i >= len(s.text) {
		return tweetSpace
	}
	return s.classes.class(s.text[i])
}

func (s *tweetSplitter) isDigit(i int) bool  { return s.class(i) == tweetDigit }
func (s *tweetSplitter) isLetter(i int) bool { return s.class(i) == tweetWord }
func (s *tweetSplitter) isSpace(i int) bool  { return i < len(s.text) && s.class(i) == tweetSpace }

func (s *tweetSplitter) isWord(i int) bool {
	return s.isDigit(i) || s.isLetter(i) || s.at(i) == '_'
}

// isLatin tells whether the character at i is in [a-z] when case is ignored, which adds İ, ſ and the Kelvin sign.
func (s *tweetSplitter) isLatin(i int) bool {
	switch r := s.at(i); {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == 'İ', r == 'ſ', r == '\u212a':
		return true
	}
	return false
}

func (s *tweetSplitter) isLabel(i int) bool {
	return s.isLatin(i) || '0' <= s.at(i) && s.at(i) <= '9'
}

// oneOf tells whether the character at i is one of set, which has no letters but d, o and p in both cases.
func (s *tweetSplitter) oneOf(i int, set string) bool {
	return i < len(s.text) && strings.ContainsRune(set, s.text[i])
}

// while is the end of the run from i on of characters that are like.
func (s *tweetSplitter) while(i int, like func(i int) bool) int {
	for i < len(s.text) && like(i) {
		i++
	}
	return i
}

// whileKept is while, for a run that other tokens may start in too.
func (s *tweetSplitter) whileKept(r *run, i int, like func(i int) bool) int {
	if i < r.start || i >= r.end {
		*r = run{i, s.while(i, like)}
	}
	return r.end
}

const (
	tweetEyes   = ":;=8"
	tweetNoses  = "-oO*'"
	tweetMouths = ")]([dDpP/:}{@|\\"
)

// emoticon is [<>]?[:;=8][\-o\*\']?[\)\]\(\[dDpP/\:\}\{@\|\\] or the same mirrored, or <3.
func (s *tweetSplitter) emoticon(i int) int {
	optional := func(i int, set string) int {
		if s.oneOf(i, set) {
			return i + 1
		}
		return i
	}
	if eyes := optional(i, "<>"); s.oneOf(eyes, tweetEyes) {
		if mouth := optional(eyes+1, tweetNoses); s.oneOf(mouth, tweetMouths) {
			return mouth + 1
		}
	}
	if s.oneOf(i, tweetMouths) {
		if eyes := optional(i+1, tweetNoses); s.oneOf(eyes, tweetEyes) {
			return optional(eyes+1, "<>")
		}
	}
	if s.at(i) == '<' && s.at(i+1) == '3' {
		return i + 2
	}
	return none
}

// phone is a number of seven digits with an area code and a country code perhaps, grouped by [ *\-.\)]*.
func (s *tweetSplitter) phone(i int) int {
	groups := func(i int) int {
		return s.while(i, func(i int) bool { return s.oneOf(i, " *-.)") })
	}
	digits := func(i, n int) int {
		for range n {
			if i == none || !s.isDigit(i) {
				return none
			}
			i++
		}
		return i
	}
	local := func(i int) int {
		if i = digits(i, 3); i == none {
			return none
		}
		return digits(groups(i), 4)
	}
	withArea := func(i int) int {
		area := i
		if s.at(i) == '(' {
			area++
		}
		if area = digits(area, 3); area != none {
			if end := local(groups(area)); end != none {
				return end
			}
		}
		return local(i)
	}
	country := i
	if s.at(i) == '+' {
		country++
	}
	if s.oneOf(country, "01") {
		if end := withArea(groups(country + 1)); end != none {
			return end
		}
	}
	return withArea(i)
}

// tag is <[^>\s]+>.
func (s *tweetSplitter) tag(i int) int {
	if s.at(i) != '<' {
		return none
	}
	end := s.whileKept(&s.tags, i+1, func(i int) bool { return s.text[i] != '>' && !s.isSpace(i) })
	if end == i+1 || s.at(end) != '>' {
		return none
	}
	return end + 1
}

// arrow is [\-]+>|<[\-]+.
func (s *tweetSplitter) arrow(i int) int {
	isDash := func(i int) bool { return s.text[i] == '-' }
	switch s.at(i) {
	case '-':
		if end := s.while(i, isDash); s.at(end) == '>' {
			return end + 1
		}
	case '<':
		if end := s.while(i+1, isDash); end > i+1 {
			return end
		}
	}
	return none
}

// mention is @\w+.
func (s *tweetSplitter) mention(i int) int {
	if s.at(i) != '@' || !s.isWord(i+1) {
		return none
	}
	return s.word(i + 1)
}

// hashtag is \#+\w+[\w\'\-]*\w+.
func (s *tweetSplitter) hashtag(i int) int {
	start := s.while(i, func(i int) bool { return s.text[i] == '#' })
	if start == i || !s.isWord(start) {
		return none
	}
	end := s.while(start, func(i int) bool { return s.isWord(i) || s.oneOf(i, "'-") })
	return s.lastOf(start+2, end, s.isWord)
}

// lastOf is the end of the longest part of a run that is cut at end such that its last character is like; none: it would
// be shorter than up to shortest.
func (s *tweetSplitter) lastOf(shortest, end int, like func(i int) bool) int {
	for ; end >= shortest; end-- {
		if like(end - 1) {
			return end
		}
	}
	return none
}

// email is [\w.+-]+@[\w-]+\.(?:[\w-]\.?)+[\w-].
func (s *tweetSplitter) email(i int) int {
	isHost := func(i int) bool { return s.isWord(i) || s.text[i] == '-' }
	at := s.whileKept(&s.names, i, func(i int) bool { return s.isWord(i) || s.oneOf(i, ".+-") })
	if at == i || s.at(at) != '@' {
		return none
	}
	dot := s.while(at+1, isHost)
	if dot == at+1 || s.at(dot) != '.' {
		return none
	}
	end := s.while(dot+1, func(i int) bool { return isHost(i) || s.text[i] == '.' && s.text[i-1] != '.' })
	for end > dot+1 && s.text[end-1] == '.' {
		end--
	}
	// Two characters at least, dots between them aside.
	first := dot + 1
	if end <= first+1 || end == first+2 && s.text[first+1] == '.' {
		return none
	}
	return end
}

// compound is [^\W\d_](?:[^\W\d_]|['\-_])+[^\W\d_]: a word with apostrophes or dashes perhaps.
func (s *tweetSplitter) compound(i int) int {
	if !s.isLetter(i) {
		return none
	}
	end := s.while(i, func(i int) bool { return s.isLetter(i) || s.oneOf(i, "'-_") })
	return s.lastOf(i+3, end, s.isLetter)
}

// number is [+\-]?\d+[,/.:-]\d+[+\-]?.
func (s *tweetSplitter) number(i int) int {
	if s.oneOf(i, "+-") {
		i++
	}
	point := s.while(i, s.isDigit)
	if point == i || !s.oneOf(point, ",/.:-") {
		return none
	}
	end := s.while(point+1, s.isDigit)
	if end == point+1 {
		return none
	}
	if s.oneOf(end, "+-") {
		end++
	}
	return end
}

// word is \w+.
func (s *tweetSplitter) word(i int) int {
	if end := s.while(i, s.isWord); end > i {
		return end
	}
	return none
}

// ellipsis is \.(?:\s*\.){1,}.
func (s *tweetSplitter) ellipsis(i int) int {
	if s.at(i) != '.' {
		return none
	}
	end := i + 1
	for {
		dot := s.while(end, s.isSpace)
		if s.at(dot) != '.' {
			break
		}
		end = dot + 1
	}
	if end == i+1 {
		return none
	}
	return end
}

// domain is a naked one, (?<!@)[a-z0-9]+(?:[.\-][a-z0-9]+)*[.](?:[a-z]{2,13})\b/?(?!@), whose labels can only end where
// they do: a label is followed by neither a digit nor a letter.
func (s *tweetSplitter) domain(i int) int {
	if s.at(i-1) == '@' || !s.isLabel(i) {
		return none
	}
	if i < s.domains.start || i >= s.domains.end {
		s.domains.read(s, i)
	}
	if first := s.while(i, s.isLabel); s.domains.dot < first {
		return none
	}
	return s.domains.best
}

// domainChain is labels joined by dots and dashes. Where a domain ends does not depend on the label that it starts with.
type domainChain struct {
	start, end int
	dot, best  int // the dot before the last label that can end a domain, and where that domain ends
}

func (d *domainChain) read(s *tweetSplitter, i int) {
	end := s.while(i, s.isLabel)
	*d = domainChain{start: i, dot: none, best: none}
	for s.oneOf(end, ".-") && s.isLabel(end+1) {
		dot := end
		end = s.while(dot+1, s.isLabel)
		if s.text[dot] != '.' || s.isWord(end) || !s.isTopLevel(dot+1, end) {
			continue
		}
		switch {
		case s.at(end) == '/' && s.at(end+1) != '@':
			d.dot, d.best = dot, end+1
		case s.at(end) != '@':
			d.dot, d.best = dot, end
		}
	}
	d.end = end
}

// isTopLevel tells whether the characters from start to end are [a-z]{2,13}.
func (s *tweetSplitter) isTopLevel(start, end int) bool {
	return end-start >= 2 && end-start <= 13 && s.while(start, s.isLatin) >= end
}
