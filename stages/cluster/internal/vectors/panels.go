package vectors

// #include "vectors.h"
import "C"

import (
	"math"
	"slices"
	"unsafe"
)

// Width is how many centroids Scores compares with at most.
const Width = C.panel_width

// Panels are centroids side by side, as the kernels read them. They never
// change.
type Panels struct {
	dim, n int
	// panels hold Width centroids each: the first values of all, the second
	// values, and so on, and at last ½‖c‖². Places without a centroid have
	// an infinite one.
	panels [][]float32
}

// NewPanels lays centroids out.
func NewPanels(dim int, centroids [][]float32) *Panels {
	p := &Panels{dim: dim, n: len(centroids)}
	for from := 0; from < len(centroids); from += Width {
		panel := make([]float32, (dim+1)*Width)
		for lane := range Width {
			panel[dim*Width+lane] = float32(math.Inf(1))
		}
		for lane, c := range centroids[from:min(from+Width, len(centroids))] {
			put(panel, dim, lane, c)
		}
		p.panels = append(p.panels, panel)
	}
	return p
}

func put(panel []float32, dim, lane int, c []float32) {
	for i, v := range c {
		panel[i*Width+lane] = v
	}
	panel[dim*Width+lane] = Norm(c) / 2
}

// With returns panels in which the centroids of some numbers are others.
func (p *Panels) With(changed map[int][]float32) *Panels {
	next := *p
	next.panels = slices.Clone(p.panels)
	fresh := make([]bool, len(p.panels))
	for number, c := range changed {
		at := number / Width
		if !fresh[at] {
			next.panels[at], fresh[at] = slices.Clone(p.panels[at]), true
		}
		put(next.panels[at], p.dim, number%Width, c)
	}
	return &next
}

// Match is the nearest centroid of one vector.
type Match struct {
	At int
	// Score is x·c − ½‖c‖²; the squared distance is ‖x‖² less twice that.
	Score float32
}

// Nearest finds, for the given rows of m, the centroid with the highest score.
// The lowest number wins a tie. Nil rows are all. There must be a centroid.
func (p *Panels) Nearest(m Matrix, rows []int32) []Match { return p.nearest(widest, m, rows) }

func (p *Panels) nearest(k kernel, m Matrix, rows []int32) []Match {
	best, at := p.scores(k, m, rows)
	out := make([]Match, len(best)/Width)
	for i := range out {
		best, at := best[i*Width:(i+1)*Width], at[i*Width:(i+1)*Width]
		lane := 0
		for l := range best {
			if best[l] > best[lane] || best[l] == best[lane] && at[l] < at[lane] {
				lane = l
			}
		}
		out[i] = Match{At: int(at[lane]), Score: best[lane]}
	}
	return out
}

// Scores returns the scores of every vector of m with each of up to Width
// centroids: Width values a vector.
func (p *Panels) Scores(m Matrix) []float32 {
	best, _ := p.scores(widest, m, nil)
	return best
}

// scores returns the best of each lane.
func (p *Panels) scores(k kernel, m Matrix, rows []int32) (best []float32, at []int32) {
	n := len(rows)
	if rows == nil {
		n = m.Len()
	}
	best, at = make([]float32, n*Width), make([]int32, n*Width)
	if n == 0 {
		return best, at
	}
	for from := 0; from < len(p.panels); from += C.panels_most {
		var some [C.panels_most]*C.float
		for i, panel := range p.panels[from:min(from+C.panels_most, len(p.panels))] {
			some[i] = first(panel)
		}
		C.vectors_nearest(C.int(k), some[0], some[1], some[2], some[3], C.int(from*Width), C.int(p.dim), first(m.Values),
			(*C.int)(unsafe.SliceData(rows)), C.int(n), first(best), (*C.int)(unsafe.SliceData(at)))
	}
	return best, at
}
