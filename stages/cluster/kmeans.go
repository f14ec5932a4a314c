package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

const (
	tryIterations  = 5
	fullIterations = 30
	// settled is the relative gain in SSE below which k-means stops.
	settled = 1e-4
)

// restarts is how often k-means starts: three times, and more often where that
// costs nothing, because a small sample has bad optima. With k = 8 and 160
// points the worst of 20 mixtures was 34 % above the truth with 3 starts, and
// 1 % with 16.
func restarts(points, k, dim int) int { return min(16, max(3, 1<<26/(points*k*dim))) }

// kmeans returns up to k means of xs (‖x‖² in norms): k-means++ and a few
// rounds of Lloyd, several times, and then the best to its end. Fewer than k
// when there are fewer distinct points. tick is called between rounds; false
// or an error ends it early.
func kmeans(xs vectors.Matrix, norms []float32, k int, random *rand.Rand, tick func() (bool, error)) ([][]float32, error) {
	var best [][]float32
	least := math.Inf(1)
	for range restarts(xs.Len(), k, xs.Dim) {
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

// seeds picks points that are far apart: candidates with probability in
// proportion to the squared distance to those before, and of a few candidates
// the one that leaves the smallest sum (greedy k-means++).
func seeds(xs vectors.Matrix, norms []float32, k int, random *rand.Rand, tick func() (bool, error)) ([][]float32, error) {
	candidates := min(vectors.Width, 2+int(math.Log(float64(k))))
	left := make([]float32, xs.Len()) // squared distance to the nearest seed
	for i := range left {
		left[i] = math.MaxFloat32
	}
	var means [][]float32
	picked := []int{random.IntN(xs.Len())}
	for {
		if ok, err := tick(); err != nil || !ok {
			return nil, err
		}
		at, least := best(xs, norms, left, picked)
		means = append(means, slices.Clone(xs.At(at)))
		if len(means) == k || least == 0 {
			return means, nil
		}
		picked = picked[:0]
		for range candidates {
			picked = append(picked, pick(left, random.Float64()*least))
		}
	}
}

// best returns the one of a few points that as a seed leaves the smallest sum
// of left, and that sum. It brings left up to date.
func best(xs vectors.Matrix, norms, left []float32, points []int) (at int, least float64) {
	some := make([][]float32, len(points))
	for j, i := range points {
		some[j] = xs.At(i)
	}
	scores := scoresAll(xs, some)
	after := func(i, j int) float32 {
		d := min(left[i], distance(norms[i], scores[i*vectors.Width+j]))
		if d <= distanceNoise {
			return 0
		}
		return d
	}
	sums := make([]float64, len(points))
	for i := range left {
		for j := range sums {
			sums[j] += float64(after(i, j))
		}
	}
	chosen := 0
	for j, sum := range sums {
		if sum < sums[chosen] {
			chosen = j
		}
	}
	for i := range left {
		left[i] = after(i, chosen)
	}
	return points[chosen], sums[chosen]
}

// pick returns the index at which the running sum of weights reaches at.
func pick(weights []float32, at float64) int {
	last := 0
	for i, w := range weights {
		if w > 0 {
			last = i
			if at -= float64(w); at <= 0 {
				break
			}
		}
	}
	return last
}

// lloyd moves means in place and returns the sum of squared distances before
// its last move. A mean that no point is nearest to moves to the point that is
// farthest from its own.
func lloyd(xs vectors.Matrix, norms []float32, means [][]float32, rounds int, tick func() (bool, error)) (float64, error) {
	before := math.Inf(1)
	for range rounds {
		if ok, err := tick(); err != nil || !ok {
			return before, err
		}
		var sse float64
		added := make([]sums, len(means))
		away := make([]float32, xs.Len())
		for i, m := range nearestAll(xs, means) {
			away[i] = distance(norms[i], m.Score)
			added[m.At].add(&pair{x: xs.At(i), label: -1}, away[i], 0)
			sse += float64(away[i])
		}
		for j := range means {
			if added[j].count > 0 {
				means[j] = vectors.Move(added[j].x, nil, 0, added[j].weight)
				continue
			}
			far := 0
			for i, d := range away {
				if d > away[far] {
					far = i
				}
			}
			means[j] = slices.Clone(xs.At(far))
			away[far] = 0
		}
		if before-sse <= settled*sse {
			return sse, nil
		}
		before = sse
	}
	return before, nil
}
