package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
)

const (
	restarts       = 3
	tryIterations  = 5
	fullIterations = 30
	// settled is the relative gain in SSE below which k-means stops.
	settled = 1e-4
)

// kmeans returns up to k means of xs (‖x‖² in norms): k-means++ and a few
// rounds of Lloyd, three times, and then the best to its end. Fewer than k
// when there are fewer distinct points. tick is called between rounds; false
// or an error ends it early.
func kmeans(xs [][]float32, norms []float32, k int, random *rand.Rand, tick func() (bool, error)) ([][]float32, error) {
	var best [][]float32
	least := math.Inf(1)
	for range restarts {
		means, err := seeds(xs, norms, k, random, tick)
		if err != nil {
			return nil, fmt.Errorf("cluster: first centroids: %w", err)
		}
		if means == nil {
			return nil, nil
		}
		sse, err := lloyd(xs, norms, means, tryIterations, tick)
		if err != nil {
			return nil, err
		}
		if sse < least {
			best, least = means, sse
		}
	}
	_, err := lloyd(xs, norms, best, fullIterations, tick)
	return best, err
}

// seeds picks points that are far apart: each with probability in proportion
// to the squared distance to those before it.
func seeds(xs [][]float32, norms []float32, k int, random *rand.Rand, tick func() (bool, error)) ([][]float32, error) {
	distance := make([]float64, len(xs))
	for i := range distance {
		distance[i] = math.Inf(1)
	}
	var means [][]float32
	next := random.IntN(len(xs))
	for {
		if ok, err := tick(); err != nil || !ok {
			return nil, err
		}
		c := append([]float32(nil), xs[next]...)
		means = append(means, c)
		if len(means) == k {
			return means, nil
		}
		out := nearestAll(xs, [][]float32{c}, norms)
		var sum float64
		for i := range distance {
			distance[i] = min(distance[i], float64(out[i].distance))
			if distance[i] <= distanceNoise {
				distance[i] = 0
			}
			sum += distance[i]
		}
		if sum == 0 {
			return means, nil
		}
		at := random.Float64() * sum
		for i, d := range distance {
			if d > 0 {
				next = i
				if at -= d; at <= 0 {
					break
				}
			}
		}
	}
}

// lloyd moves means in place and returns the sum of squared distances before
// its last move. A mean that no point is nearest to moves to the point that is
// farthest from its own.
func lloyd(xs [][]float32, norms []float32, means [][]float32, rounds int, tick func() (bool, error)) (float64, error) {
	before := math.Inf(1)
	for range rounds {
		if ok, err := tick(); err != nil || !ok {
			return before, err
		}
		out := nearestAll(xs, means, norms)
		var sse float64
		added := make([]sums, len(means))
		for i, m := range out {
			added[m.at].add(&pair{x: xs[i], label: -1}, m.distance, 0)
			sse += float64(m.distance)
		}
		for j := range means {
			if added[j].count == 0 {
				far := 0
				for i, m := range out {
					if m.distance > out[far].distance {
						far = i
					}
				}
				copy(means[j], xs[far])
				out[far].distance = 0
				continue
			}
			for i, v := range added[j].x {
				means[j][i] = float32(v / added[j].weight)
			}
		}
		if before-sse <= settled*sse {
			return sse, nil
		}
		before = sse
	}
	return before, nil
}

// nearestAll is nearest on all cores; the result does not depend on how many.
func nearestAll(xs, means [][]float32, norms []float32) []match {
	half := make([]float32, len(means))
	for j, m := range means {
		half[j] = normSquared(m) / 2
	}
	out := make([]match, len(xs))
	part := max(tile, (len(xs)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for from := 0; from < len(xs); from += part {
		to := min(from+part, len(xs))
		wg.Go(func() { nearest(xs[from:to], means, norms[from:to], half, out[from:to]) })
	}
	wg.Wait()
	return out
}
