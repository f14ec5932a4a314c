package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// reportCommand writes the figures of all machines into the pages.
func reportCommand() *cobra.Command {
	var results, pages string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write the figures of the results folder into the pages: performance, capacity, README",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			tables, err := readTables(results)
			if err != nil {
				return err
			}
			return errors.Join(writePages(pages, tables), drawPages(filepath.Join(pages, "pipeline/docs/performance"), results, tables))
		},
	}
	cmd.Flags().StringVar(&results, "results", "pipeline/bench/results", "`folder` with the figures as JSON")
	cmd.Flags().StringVar(&pages, "root", ".", "`folder` with README.md and pipeline/docs")
	return cmd
}

// readTables reads the tables of all machines, those without a GPU first.
func readTables(dir string) ([]*table, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var tables []*table
	for _, path := range slices.Sorted(slices.Values(paths)) {
		t, err := readTable(path)
		if err != nil {
			return nil, err
		}
		tables = append(tables, &t)
	}
	slices.SortStableFunc(tables, func(a, b *table) int { return cmp.Compare(a.Hardware.GPU, b.Hardware.GPU) })
	return tables, nil
}

// blocks are what stands between a page's markers, by their names.
var blocks = map[string]func([]*table) string{
	"headline": headline,
	"goals":    goalsBlock,
	"profile":  profileBlock,
	"lines":    linesBlock,
	"capacity": capacityBlock,
	"folds":    foldsBlock,
	"growth":   growthBlock,
}

// reportPages are the pages with figures, from the root of the sources.
var reportPages = []string{"README.md", "pipeline/docs/performance.md", "pipeline/docs/capacity.md"}

func writePages(root string, tables []*table) error {
	for _, page := range reportPages {
		path := filepath.Join(root, page)
		text, err := os.ReadFile(path) //nolint:gosec // the user's own choice
		if err != nil {
			return err
		}
		filled, err := fillPage(string(text), tables)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if filled == string(text) {
			continue
		}
		if err := os.WriteFile(path, []byte(filled), 0o644); err != nil { //nolint:gosec // a page for everybody
			return err
		}
	}
	return nil
}

// drawPages puts the plots and the flame graphs of all machines beside the pages.
func drawPages(to, results string, tables []*table) error {
	if err := drawGrowth(to, tables); err != nil {
		return err
	}
	for _, t := range tables {
		if t.Profile == nil {
			continue
		}
		drawn, err := os.ReadFile(filepath.Join(results, flameFile(t.Hardware))) //nolint:gosec // the user's own choice
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, flameFile(t.Hardware)), drawn, 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
	}
	return nil
}

// growthBlock shows the plots that there are figures for.
func growthBlock(tables []*table) string {
	var out strings.Builder
	for _, f := range growthFigures {
		if f.measured(tables) {
			fmt.Fprintf(&out, "![%s](performance/growth-%s.svg)\n\n", f.title, f.file)
		}
	}
	if out.Len() == 0 {
		return notYet
	}
	return out.String()
}

// measured tells whether there is anything to draw.
func (f figure) measured(tables []*table) bool {
	for _, t := range tables {
		for _, c := range f.curves {
			for _, unit := range f.units {
				if t.growth(c.what, unit) != nil {
					return true
				}
			}
		}
	}
	return false
}

// fillPage replaces what stands between the lines <!-- bench:NAME --> and
// <!-- /bench:NAME -->.
func fillPage(page string, tables []*table) (string, error) {
	var out strings.Builder
	for rest := page; ; {
		before, after, found := strings.Cut(rest, "<!-- bench:")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, _ := strings.Cut(after, " -->")
		block := blocks[name]
		if block == nil {
			return "", fmt.Errorf("there are no figures for a block called %q", name)
		}
		end := "<!-- /bench:" + name + " -->"
		_, after, found = strings.Cut(after, end)
		if !found {
			return "", fmt.Errorf("the block %q has no end: %s", name, end)
		}
		fmt.Fprintf(&out, "<!-- bench:%s -->\n%s\n%s", name, strings.TrimSpace(block(tables)), end)
		rest = after
	}
}

// notYet stands where figures will be.
const notYet = "No figures are kept yet: `make bench` takes them, `make bench-report` writes them here."

// find is the first line of that name, with its table.
func find(tables []*table, n lineName) (*table, *line) {
	for _, t := range tables {
		for _, l := range t.Lines {
			if n.has(l) {
				return t, l
			}
		}
	}
	return nil, nil
}

// findAll is every line of that name.
func findAll(tables []*table, n lineName) (found []*line, of []*table) {
	for _, t := range tables {
		for _, l := range t.Lines {
			if n.has(l) {
				found, of = append(found, l), append(of, t)
			}
		}
	}
	return found, of
}

// ratioOf is a ratio with its spread.
func (l *line) ratioOf() string {
	if len(l.Ratio.All) < 2 {
		return short(l.Ratio.Median)
	}
	return fmt.Sprintf("%s (%s…%s)", short(l.Ratio.Median), short(l.Ratio.Low), short(l.Ratio.High))
}

func (l *line) verdict() string {
	switch {
	case l.Reached == nil:
		return ""
	case *l.Reached:
		return "reached"
	}
	return "**missed**"
}

func goalsBlock(tables []*table) string {
	if len(tables) == 0 {
		return notYet
	}
	var out strings.Builder
	out.WriteString("| measure | what was compared | ours | other | unit | ratio (low…high) | goal | |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range goalRows {
		measure := row.measure
		for _, name := range row.lines {
			lines, of := findAll(tables, name)
			for i, l := range lines {
				what := l.What
				if of[i] != tables[0] {
					what += ", on " + of[i].Hardware.short()
				}
				fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s | %s |\n",
					measure, what, short(l.Ours.Median), short(l.Other.Median), l.Unit, l.ratioOf(), l.Goal, l.verdict())
				measure = ""
			}
		}
		if measure != "" {
			fmt.Fprintf(&out, "| %s | not measured yet | | | | | | |\n", measure)
		}
	}
	return out.String()
}

func linesBlock(tables []*table) string {
	if len(tables) == 0 {
		return notYet
	}
	var out strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&out, "### %s\n\n%s\n", t.Hardware.short(), t.when())
		part := ""
		for _, l := range t.Lines {
			if l.Part != part {
				part = l.Part
				fmt.Fprintf(&out, "\n**%s**\n\n| ours ÷ other | unit | ours | other | ratio (low…high) | goal | | |\n|---|---|---|---|---|---|---|---|\n", part)
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s | %s |\n",
				l.What, l.Unit, short(l.Ours.Median), short(l.Other.Median), l.ratioOf(), l.Goal, l.verdict(), l.Note)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// when says on what, when and how a table was made.
func (t *table) when() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s.\n\n| part | date | commit | repetitions | minutes |\n|---|---|---|---|---|\n", t.Hardware)
	for _, p := range parts {
		m, ok := t.Measured[p.name]
		if !ok {
			continue
		}
		commit := m.Commit
		if m.Quick {
			commit += ", **quick: no figures to keep**"
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %d | %d |\n", p.name, m.Date, commit, m.Repeats, m.Minutes)
	}
	return out.String()
}

func profileBlock(tables []*table) string {
	for _, t := range tables {
		if t.Profile != nil {
			return t.Profile.markdown(t.Hardware)
		}
	}
	return notYet
}

func (p *profile) markdown(h hardware) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s ms of processor time a post, over %s posts of the mix, exactly once, on %s; the profiler saw %.0f %% of it.\n\n",
		short(p.CPU), grouped(p.Posts), h.short(), 100*p.Seen)
	out.WriteString("| part | share | ms a post | any program's |\n|---|---|---|---|\n")
	for _, part := range p.Parts {
		fmt.Fprintf(&out, "| %s | %.1f %% | %.3f | %s |\n", part.Name, 100*part.Share, part.MS, map[bool]string{true: "yes"}[part.Needed])
	}
	fmt.Fprintf(&out, "| all that is not any program's | %.1f %% | %.3f | |\n", 100*p.Rest/p.CPU, p.Rest)
	fmt.Fprintf(&out, "\n![flame graph](performance/%s)\n", flameFile(h))
	return out.String()
}

// flameFile is the name of a machine's flame graph.
func flameFile(h hardware) string { return "flame-" + h.slug() + ".svg" }

// headline is for the README: a handful of figures.
func headline(tables []*table) string {
	if len(tables) == 0 {
		return notYet
	}
	var out strings.Builder
	fmt.Fprintf(&out, "On %s, each a ratio of two figures of the same run (1200×900 JPEGs and others, 364 KB a post):\n\n", tables[0].Hardware.short())
	for _, h := range []struct {
		name lineName
		text string // of ours, other, ratio
	}{
		{lineName{peersName, "exactly once ÷ JPEG decode and graphs", "posts?s"}, "- %s posts/s, exactly once: %[3]s of what the cores allow (model and JPEG decode in a bare loop: %[2]s)"},
		{lineName{peersName, "exactly once ÷ Python, same pixels", "posts?s"}, "- %[3]s × a tuned Python program on the same pixels (%[2]s posts/s)"},
		{lineName{peersName, "exactly once ÷ Python, same pixels", "MB"}, "- %[3]s × its memory (%[1]s MB against %[2]s)"},
		{lineName{latencyName, "exactly once ÷ Python, same pixels, each at half of its highest rate", "p99 *"}, "- %[3]s × its 99th percentile of latency at half load (%[1]s ms against %[2]s)"},
		{lineName{limitName, "pipeline ÷ graphs alone, full-size towers, *", "posts?s"}, "- with two full-size towers, %[3]s of the bare model's rate"},
		{lineName{peersName, "exactly once ÷ at least once", "posts?s"}, "- exactly once ÷ at least once: %[3]s"},
	} {
		if _, l := find(tables, h.name); l != nil {
			fmt.Fprintf(&out, h.text+"\n", short(l.Ours.Median), short(l.Other.Median), short(l.Ratio.Median))
		}
	}
	return out.String()
}

// grouped writes a number with commas.
func grouped(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short names a machine in a sentence.
func (h hardware) short() string {
	name := fmt.Sprintf("%d cores of %s", h.Cores, h.Processor)
	if h.GPU != "" {
		name = h.GPU + " and " + name
	}
	return name
}
