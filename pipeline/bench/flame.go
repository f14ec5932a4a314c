package main

import (
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// flame is a tree of who called whom, with the time spent below each.
type flame struct {
	name, part string // part is that of the time spent in it itself
	ms         float64
	under      map[string]*flame
}

func newFlame() *flame { return &flame{name: "all", under: map[string]*flame{}} }

// add adds a sample; its stack begins where the time was spent.
func (f *flame) add(stack []string, part string, ms float64) {
	f.ms += ms
	for _, name := range slices.Backward(stack) {
		next := f.under[name]
		if next == nil {
			next = newFlame()
			next.name = name
			f.under[name] = next
		}
		f = next
		f.ms += ms
	}
	f.part = part
}

// Sizes in the drawing, in pixels. What is narrower than flameLeast is left out.
const (
	flameWide, flameRow, flameLeast = 1600, 17, 1.0
	flameLetter                     = 6.4
)

// svg draws the tree, its root on top. Colours tell parts apart, where a function
// spends time itself; a pointer that rests on one is told its name and time.
func (f *flame) svg(title string) string {
	var body strings.Builder
	depth := 0
	f.draw(&body, f.ms, 0, 0, &depth)
	high := (depth + 3) * flameRow
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="monospace" font-size="11">
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="4" y="13" font-weight="bold">%s</text>
%s</svg>
`, flameWide, high, flameWide, high, escaped(title), body.String())
}

func (f *flame) draw(out *strings.Builder, all, x float64, row int, depth *int) {
	wide := f.ms / all * flameWide
	if wide < flameLeast {
		return
	}
	*depth = max(*depth, row)
	y := (row + 1) * flameRow
	fmt.Fprintf(out, `<g><title>%s: %.1f %%</title><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" stroke="#fff" stroke-width=".5"/>`,
		escaped(f.name), 100*f.ms/all, x, y, wide, flameRow-1, colourOf(f.part))
	if letters := int(wide/flameLetter) - 1; letters > 3 {
		fmt.Fprintf(out, `<text x="%.1f" y="%d">%s</text>`, x+2, y+12, escaped(cut(shortName(f.name), letters)))
	}
	out.WriteString("</g>\n")
	for _, name := range slices.Sorted(maps.Keys(f.under)) {
		f.under[name].draw(out, all, x, row+1, depth)
		x += f.under[name].ms / all * flameWide
	}
}

// colourOf is a light colour that a part keeps.
func colourOf(part string) string {
	if part == "" {
		return "#e8e8e8"
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(part)) // a hash takes everything
	return fmt.Sprintf("hsl(%d,65%%,75%%)", h.Sum32()%360)
}

// shortName is a function without the path of its package.
func shortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-1] + "…"
}

func escaped(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // a builder takes everything
	return out.String()
}
