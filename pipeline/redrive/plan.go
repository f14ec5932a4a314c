package redrive

import (
	"cmp"
	"slices"
	"time"
)

// Filter chooses dead letters. What is empty chooses all.
type Filter struct {
	Reasons, Stages []string
	// Since and Until bound the time at which a letter was written; Until
	// itself is beyond.
	Since, Until time.Time
}

func (f Filter) chooses(l *letter) bool {
	return (len(f.Reasons) == 0 || slices.Contains(f.Reasons, l.reason)) &&
		(len(f.Stages) == 0 || slices.Contains(f.Stages, l.stage)) &&
		(f.Since.IsZero() || !l.at.Before(f.Since)) &&
		(f.Until.IsZero() || l.at.Before(f.Until))
}

// Fate is what a redrive does with a dead letter that its filter chooses.
type Fate int

// Fates, in the order in which they are looked for.
const (
	Send      Fate = iota // it goes back
	Cut                   // not all of the original bytes are there
	Elsewhere             // its source is none of topics.posts
	Redriven              // an earlier redrive has sent it
	Repeated              // another letter of the same record is sent
	AtLimit               // it was sent back MaxAttempts times and failed again
	Refused               // its source does not take it any more: max.message.bytes
	fates
)

var fateNames = [fates]string{"to_send", "cut", "elsewhere", "redriven", "repeated", "at_limit", "refused"}

// String returns the name that reports use.
func (f Fate) String() string { return fateNames[f] }

// Fates lists all of them.
func Fates() []Fate {
	all := make([]Fate, fates)
	for i := range all {
		all[i] = Fate(i)
	}
	return all
}

// Group counts the chosen dead letters of one reason, stage and source.
type Group struct {
	Reason string
	Stage  string
	Source string // topic
	Counts [fates]int
}

// Plan says what a redrive would do.
type Plan struct {
	Groups  []Group // by reason, stage and source
	LeftOut int     // dead letters that the filter does not choose
	Foreign int     // records that are neither dead letters nor marks

	send map[int32][]int64 // offsets to send, ascending, by partition
}

// Count adds up one fate over all groups.
func (p *Plan) Count(f Fate) int {
	n := 0
	for _, g := range p.Groups {
		n += g.Counts[f]
	}
	return n
}

type groupKey struct{ reason, stage, source string }

// planner reads the dead-letter topic record by record, partition by
// partition. It keeps a few words for each letter that the filter chooses.
type planner struct {
	filter  Filter
	limit   int
	sources []string
	ends    map[int32]int64 // letters from here on are too late

	groups           []Group // not counted yet
	index            map[groupKey]int
	leftOut, foreign int
	entries          []entry
	done             map[mark]bool // with a mark in the topic
	seen             map[mark]bool // chosen
	refused          map[mark]bool // by their source, in this redrive
}

// entry is a chosen letter; marks that come later decide on its fate.
type entry struct {
	mark      mark
	fate      Fate
	group     int
	partition int32
	offset    int64
}

func newPlanner(o Options, sources []string, refused map[mark]bool) *planner {
	return &planner{
		filter: o.Filter, limit: o.MaxAttempts, sources: sources, refused: refused,
		ends: map[int32]int64{}, index: map[groupKey]int{}, done: map[mark]bool{}, seen: map[mark]bool{},
	}
}

func (p *planner) add(r record) {
	if m, ok := parseMark(r); ok {
		p.done[m] = true
		return
	}
	if r.offset >= p.ends[r.partition.ID] {
		return
	}
	l, ok := parse(r)
	switch {
	case !ok:
		p.foreign++
		return
	case !p.filter.chooses(&l):
		p.leftOut++
		return
	}
	key := groupKey{l.reason, l.stage, l.source.Topic}
	group, ok := p.index[key]
	if !ok {
		group = len(p.groups)
		p.index[key] = group
		p.groups = append(p.groups, Group{Reason: l.reason, Stage: l.stage, Source: l.source.Topic})
	}
	e := entry{mark: l.mark(), group: group, partition: r.partition.ID, offset: r.offset}
	switch {
	case l.cut:
		e.fate = Cut
	case !slices.Contains(p.sources, l.source.Topic):
		e.fate = Elsewhere
	case p.seen[e.mark]:
		e.fate = Repeated
	case l.attempts >= p.limit:
		e.fate = AtLimit
	case p.refused[e.mark]:
		e.fate = Refused
	}
	if e.fate != Cut && e.fate != Elsewhere {
		p.seen[e.mark] = true
	}
	p.entries = append(p.entries, e)
}

// finish settles the fates once everything is read.
func (p *planner) finish() *Plan {
	plan := &Plan{LeftOut: p.leftOut, Foreign: p.foreign, Groups: slices.Clone(p.groups), send: map[int32][]int64{}}
	for _, e := range p.entries {
		if p.done[e.mark] && e.fate != Cut && e.fate != Elsewhere {
			e.fate = Redriven
		}
		plan.Groups[e.group].Counts[e.fate]++
		if e.fate == Send {
			plan.send[e.partition] = append(plan.send[e.partition], e.offset)
		}
	}
	slices.SortFunc(plan.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Source, b.Source))
	})
	return plan
}
