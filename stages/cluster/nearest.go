package cluster

import (
	"runtime"
	"sync"

	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// distance is ‖x−c‖² of a vector and its score with a centroid.
func distance(norm, score float32) float32 { return max(0, norm-2*score) }

// onAllCores calls do with parts of xs that together are all of it, and where
// each begins.
func onAllCores(xs vectors.Matrix, do func(from int, part vectors.Matrix)) {
	size := (xs.Len() + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for from := 0; from < xs.Len(); from += size {
		part := vectors.Matrix{Values: xs.Values[from*xs.Dim : min(from+size, xs.Len())*xs.Dim], Dim: xs.Dim}
		wg.Go(func() { do(from, part) })
	}
	wg.Wait()
}

// nearestAll finds the nearest mean of every vector on all cores; the result
// does not depend on how many.
func nearestAll(xs vectors.Matrix, means [][]float32) []vectors.Match {
	panels := vectors.NewPanels(xs.Dim, means)
	out := make([]vectors.Match, xs.Len())
	onAllCores(xs, func(from int, part vectors.Matrix) { copy(out[from:], panels.Nearest(part, nil)) })
	return out
}

// scoresAll does so for the scores with each of a few means: vectors.Width
// values a vector.
func scoresAll(xs vectors.Matrix, means [][]float32) []float32 {
	panels := vectors.NewPanels(xs.Dim, means)
	out := make([]float32, xs.Len()*vectors.Width)
	onAllCores(xs, func(from int, part vectors.Matrix) { copy(out[from*vectors.Width:], panels.Scores(part)) })
	return out
}
