package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// table is what the benchmarks found.
type table struct {
	Hardware hardware `json:"hardware"`
	// Measured says when each part was.
	Measured map[string]measured `json:"measured"`
	Lines    []*line             `json:"lines"`
	Profile  *profile            `json:"profile,omitempty"`
}

// measured is a run of one part.
type measured struct {
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Repeats int    `json:"repeats"`
	Minutes int    `json:"minutes"`
	Quick   bool   `json:"quick,omitempty"` // a first look, and no figures to keep
}

// line compares two figures. Each repetition adds one of both, taken one after
// the other, and what counts is the ratio of the two.
type line struct {
	Part  string  `json:"part"`
	What  string  `json:"what"`
	Unit  string  `json:"unit"`
	Goal  string  `json:"goal,omitempty"` // of the ratio, as in ≥ 0.97
	Note  string  `json:"note,omitempty"`
	Ours  summary `json:"ours"`
	Other summary `json:"other"`
	Ratio summary `json:"ratio"` // ours ÷ other
	// Reached says whether the ratio's median is at the goal.
	Reached *bool `json:"reached,omitempty"`
}

// summary is the median of repetitions, their spread, and themselves.
type summary struct {
	Median float64   `json:"median"`
	Low    float64   `json:"low"`
	High   float64   `json:"high"`
	All    []float64 `json:"all"`
}

func (s *summary) add(v float64) {
	s.All = append(s.All, v)
	sorted := slices.Sorted(slices.Values(s.All))
	n := len(sorted)
	s.Low, s.High = sorted[0], sorted[n-1]
	s.Median = (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// goal is what a ratio should be: at least, or at most, so much. The zero
// value asks for nothing.
type goal struct {
	atLeast, atMost float64
}

func (g goal) String() string {
	switch {
	case g.atLeast > 0:
		return fmt.Sprintf("≥ %g", g.atLeast)
	case g.atMost > 0:
		return fmt.Sprintf("≤ %g", g.atMost)
	}
	return ""
}

func (g goal) reached(ratio float64) *bool {
	if g == (goal{}) {
		return nil
	}
	ok := g.atLeast > 0 && ratio >= g.atLeast || g.atMost > 0 && ratio <= g.atMost
	return &ok
}

// about names a line.
type about struct {
	part, what, unit string
	goal             goal
	note             string
}

// add adds a repetition to the line of that name.
func (t *table) add(a about, ours, other float64) {
	if ours <= 0 || other <= 0 {
		return // one of the two could not be measured; it has said so
	}
	var l *line
	for _, known := range t.Lines {
		if known.Part == a.part && known.What == a.what && known.Unit == a.unit {
			l = known
		}
	}
	if l == nil {
		l = &line{Part: a.part, What: a.what, Unit: a.unit, Goal: a.goal.String(), Note: a.note}
		t.Lines = append(t.Lines, l)
	}
	l.Ours.add(ours)
	l.Other.add(other)
	l.Ratio.add(ours / other)
	l.Reached = a.goal.reached(l.Ratio.Median)
}

func (t *table) print(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", t.Hardware)
	part := ""
	for _, l := range t.Lines {
		if l.Part != part {
			part = l.Part
			fmt.Fprintf(&out, "\n%s\n%-64s %-10s %9s %9s   %-24s %s\n", strings.ToUpper(part), "ours ÷ other", "unit", "ours", "other", "ratio (low…high)", "goal")
		}
		mark := ""
		if l.Reached != nil {
			mark = l.Goal + map[bool]string{true: "  reached", false: "  MISSED"}[*l.Reached]
		}
		ratio := fmt.Sprintf("%s (%s…%s)", short(l.Ratio.Median), short(l.Ratio.Low), short(l.Ratio.High))
		fmt.Fprintf(&out, "%-64s %-10s %9s %9s   %-24s %s\n", l.What, l.Unit, short(l.Ours.Median), short(l.Other.Median), ratio, strings.TrimSpace(mark+"  "+l.Note))
	}
	if t.Profile != nil {
		out.WriteString(t.Profile.String())
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// short prints three digits that mean something.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func readTable(path string) (t table, err error) {
	text, err := os.ReadFile(path) //nolint:gosec // our own results
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("%s is no table of benchmarks: %w", path, err)
	}
	return t, nil
}

// write keeps the table as dir/<hardware>.json. Lines of parts that did not run
// this time stay as they were.
func (t *table) write(dir string) (string, error) {
	path := filepath.Join(dir, t.Hardware.slug()+".json")
	before, err := readTable(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	kept := table{Hardware: t.Hardware, Measured: map[string]measured{}, Profile: cmp.Or(t.Profile, before.Profile)}
	maps.Copy(kept.Measured, before.Measured)
	maps.Copy(kept.Measured, t.Measured)
	for _, l := range before.Lines {
		if !slices.ContainsFunc(t.Lines, func(now *line) bool { return now.Part == l.Part }) {
			kept.Lines = append(kept.Lines, l)
		}
	}
	kept.Lines = append(kept.Lines, t.Lines...)
	slices.SortStableFunc(kept.Lines, func(a, b *line) int { return strings.Compare(a.Part, b.Part) })
	text, err := json.MarshalIndent(kept, "", " ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // figures for everybody
}
