package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figure is one plot: some units of what grew, side by side.
type figure struct {
	file, title, x string
	curves         []curve
	units          []string
}

// curve is what the lines of a growth are called after their values, and how
// the plot names it.
type curve struct{ what, name string }

// growthFigures are the plots.
var growthFigures = []figure{
	{"partitions", "Partitions", "partitions", []curve{{"partitions", ""}}, pipelineUnits},
	{"workers", "Workers", "workers", []curve{{"workers", ""}}, pipelineUnits},
	{"clusters", "Clusters", "clusters", []curve{{"clusters", ""}}, pipelineUnits},
	{"rows", "Rows a batch", "rows a batch", []curve{{"rows a batch", ""}}, pipelineUnits},
	{"images", "Size of images", "pixels of an image's width", []curve{{"pixels of an image's width", ""}}, pipelineUnits},
	{"conflicts-workers", "Workers that only fold, as fast as they can", "workers", []curve{
		{"workers in conflict, 4 partitions", "4 partitions"},
		{"workers in conflict, 16 partitions", "16 partitions"},
		{"workers in conflict, 64 partitions", "64 partitions"},
		{"workers in conflict, 1000 clusters", "1000 clusters, 16 partitions"},
	}, []string{"tries/fold", "posts/s"}},
	{"conflicts-rate", "4 workers that fold at random moments", "folds a second of all workers", []curve{
		{"folds a second in conflict, 4 workers", ""},
	}, []string{"tries/fold", "CPU µs/post"}},
	{"folds-clusters", "Clusters, folding alone", "clusters", []curve{
		{"clusters, folding alone", "1 worker"},
		{"clusters, 2 workers folding alone", "2 workers"},
	}, []string{"CPU µs/post", "Redis CPU µs/post", "Redis kB/post"}},
	{"folds-rows", "Rows a batch, folding alone", "rows a batch", []curve{
		{"rows a batch, folding alone", ""},
	}, []string{"CPU µs/post", "Redis CPU µs/post", "Redis kB/post"}},
}

var pipelineUnits = []string{"posts/s", "CPU ms/post", "MB"}

// drawGrowth writes a plot a figure, of all tables that have what it shows.
func drawGrowth(dir string, tables []*table) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, f := range growthFigures {
		if err := f.draw(filepath.Join(dir, "growth-"+f.file+".svg"), tables); err != nil {
			return fmt.Errorf("plot %s: %w", f.file, err)
		}
	}
	return nil
}

// Of each panel.
const (
	panelWidth  = 4 * vg.Inch
	panelHeight = 3 * vg.Inch
)

func (f figure) draw(path string, tables []*table) error {
	panels := make([]*plot.Plot, 0, len(f.units))
	for _, unit := range f.units {
		p, err := f.panel(unit, tables)
		if err != nil {
			return err
		}
		if p != nil {
			panels = append(panels, p)
		}
	}
	if len(panels) == 0 {
		return nil // nobody has measured it yet
	}
	panels[0].Title.Text = f.title
	canvas := vgsvg.New(panelWidth*vg.Length(len(panels)), panelHeight)
	// The last label of an axis is as wide as it likes.
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: 5 * vg.Millimeter, PadTop: vg.Millimeter, PadLeft: 2 * vg.Millimeter, PadRight: 5 * vg.Millimeter}
	for i, c := range plot.Align([][]*plot.Plot{panels}, tiles, draw.New(canvas))[0] {
		panels[i].Draw(c)
	}
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644) //nolint:gosec // for everybody
}

// panel draws one unit; nil where no table has it.
func (f figure) panel(unit string, tables []*table) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = f.x, unit
	p.X.Scale, p.Y.Min = plot.LogScale{}, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var ticks plot.ConstantTicks
	drawn := 0
	for _, t := range tables {
		for _, c := range f.curves {
			points := t.growth(c.what, unit)
			if points == nil {
				continue
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return nil, err
			}
			line.Color, line.Dashes = plotutil.Color(drawn), plotutil.Dashes(drawn)
			dots.Color, dots.Shape = plotutil.Color(drawn), plotutil.Shape(drawn)
			p.Add(line, dots)
			name := c.name
			if len(tables) > 1 {
				name = strings.TrimSpace(name + " " + t.Hardware.Processor)
			}
			if name != "" {
				p.Legend.Add(name, line, dots)
			}
			for _, at := range points {
				p.Y.Max = max(p.Y.Max, 1.4*at.Y) // below the legend
				ticks = append(ticks, plot.Tick{Value: at.X, Label: fmt.Sprintf("%.0f", at.X)})
			}
			drawn++
		}
	}
	if drawn == 0 {
		return nil, nil //nolint:nilnil // there is nothing to draw
	}
	slices.SortFunc(ticks, func(a, b plot.Tick) int { return cmp.Compare(a.Value, b.Value) })
	p.X.Tick.Marker = slices.Compact(ticks)
	return p, nil
}

// growth is how a unit went with what grew: the lines "16 ÷ 1 what" hold the
// figure at 16, and all of them that at 1. Nil: nobody has measured it.
func (t *table) growth(what, unit string) plotter.XYs {
	var points plotter.XYs
	for _, l := range t.Lines {
		var value, first int
		if n, _ := fmt.Sscanf(l.What, "%d ÷ %d", &value, &first); n != 2 || l.What != fmt.Sprintf("%d ÷ %d %s", value, first, what) ||
			l.Part != growthName || l.Unit != unit {
			continue
		}
		if points == nil {
			points = append(points, plotter.XY{X: float64(first), Y: l.Other.Median})
		}
		points = append(points, plotter.XY{X: float64(value), Y: l.Ours.Median})
	}
	return points
}
