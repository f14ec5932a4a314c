package tokenize

import (
	"slices"
	"strings"
)

// link is what starts with http: or https:, or with a domain and a slash, and goes on with one of linkTails.
func (s *tweetSplitter) link(i int) int {
	if start := s.scheme(i); start != none {
		s.links.read(s, start)
		slashes := s.while(start, func(i int) bool { return s.text[i] == '/' }) - start
		for n := min(slashes, 3); n > 0; n-- {
			if end := s.links.from(s, start+n); end != none {
				return end
			}
		}
		if s.isLabel(start) || s.at(start) == '%' {
			if end := s.links.from(s, start+1); end != none {
				return end
			}
		}
	}
	slash := s.whileKept(&s.hosts, i, func(i int) bool { return s.isLabel(i) || s.oneOf(i, ".-") })
	if s.at(slash) != '/' {
		return none
	}
	dot := slash - 1
	for dot > i && s.text[dot] != '.' {
		dot--
	}
	if dot <= i || !s.isTopLevel(dot+1, slash) {
		return none
	}
	s.links.read(s, slash+1)
	return s.links.from(s, slash+1)
}

// scheme is the end of https?: at i.
func (s *tweetSplitter) scheme(i int) int {
	for n, r := range "http" {
		if c := s.at(i + n); c != r && c != r-asciiCaseDistance {
			return none
		}
	}
	i += len("http")
	if s.oneOf(i, "sSſ") {
		i++
	}
	if s.at(i) != ':' {
		return none
	}
	return i + 1
}

// linkTails holds, for each place of a stretch without spaces, where a link ends whose tail
//
//	(?:[^\s()<>{}\[\]]+|\([^\s()]*?\([^\s()]+\)[^\s()]*?\)|\([^\s]+?\))+
//	(?:\([^\s()]*?\([^\s()]+\)[^\s()]*?\)|\([^\s]+?\)|[^\s`!()\[\]{};:'".,<>?«»“”‘’])
//
// has got there. It is computed from the right, so that no place is tried twice.
type linkTails struct {
	start, stop int
	ends        []int // by place: where the match ends when the loop stands there, having turned at least once
	closing     []int // by place: the next closing parenthesis
	good        []int // by place: the next closing parenthesis behind which the loop leads to a match
}

const (
	linkBrackets = "()<>{}[]"
	linkNoEnd    = linkBrackets + "`!;:'\".,?«»“”‘’"
)

func (l *linkTails) read(s *tweetSplitter, start int) {
	if l.start <= start && start < l.stop {
		return
	}
	stop := s.while(start, func(i int) bool { return !s.isSpace(i) })
	size := stop - start + 2
	l.start, l.stop = start, stop
	for _, list := range []*[]int{&l.ends, &l.closing, &l.good} {
		*list = slices.Grow((*list)[:0], size)[:size]
		(*list)[size-1], (*list)[size-2] = none, none
	}
	tail := none // where a link ends that has got into the run of ordinary characters at hand
	for i := stop - 1; i >= start; i-- {
		at := i - start
		l.ends[at], l.closing[at], l.good[at] = none, l.closing[at+1], l.good[at+1]
		switch {
		case s.text[i] == '(':
			end, out := l.parenthesis(s, i)
			if end == none {
				end = out
			}
			l.ends[at], tail = end, end
		case s.text[i] == ')':
			tail = none
			l.closing[at] = i
			if l.ends[at+1] != none {
				l.good[at] = i
			}
		case strings.ContainsRune(linkBrackets, s.text[i]):
			tail = none
		default:
			if tail == none && !strings.ContainsRune(linkNoEnd, s.text[i]) {
				tail = i + 1
			}
			l.ends[at] = tail
		}
	}
}

// parenthesis says where a match ends that turns the loop at the parenthesis i, and where one ends that leaves the loop
// there.
func (l *linkTails) parenthesis(s *tweetSplitter, i int) (turned, left int) {
	nested := l.nested(s, i)
	if nested != none && l.ends[nested-l.start] != none {
		return l.ends[nested-l.start], nested
	}
	// At least one character stands between a pair of parentheses.
	inside := min(i+2, l.stop) - l.start
	if good := l.good[inside]; good != none {
		return l.ends[good+1-l.start], good + 1
	}
	if nested != none {
		return none, nested
	}
	if closing := l.closing[inside]; closing != none {
		return none, closing + 1
	}
	return none, none
}

// nested is the end of \([^\s()]*?\([^\s()]+\)[^\s()]*?\) at i.
func (l *linkTails) nested(s *tweetSplitter, i int) int {
	plain := func(i int) int {
		for i < l.stop && s.text[i] != '(' && s.text[i] != ')' {
			i++
		}
		return i
	}
	open := plain(i + 1)
	if open >= l.stop || s.text[open] != '(' {
		return none
	}
	closing := plain(open + 1)
	if closing >= l.stop || s.text[closing] != ')' || closing == open+1 {
		return none
	}
	if end := plain(closing + 1); end < l.stop && s.text[end] == ')' {
		return end + 1
	}
	return none
}

// from is the end of a match whose loop begins at i.
func (l *linkTails) from(s *tweetSplitter, i int) int {
	switch {
	case i >= l.stop:
		return none
	case s.text[i] == '(':
		turned, _ := l.parenthesis(s, i)
		return turned
	case strings.ContainsRune(linkBrackets, s.text[i]):
		return none
	}
	return l.ends[i+1-l.start]
}
