package vectors

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// fused is the fused multiply-add of float32: the product is exact in float64,
// and a sum that is not is made odd, which keeps the second rounding from
// going wrong.
func fused(a, b, c float32) float32 {
	product, addend := float64(a)*float64(b), float64(c)
	sum := product + addend
	virtual := sum - product
	lost := (product - (sum - virtual)) + (addend - virtual)
	if lost != 0 && math.Float64bits(sum)&1 == 0 {
		towards := math.Inf(1)
		if lost < 0 {
			towards = math.Inf(-1)
		}
		sum = math.Nextafter(sum, towards)
	}
	return float32(sum)
}

// product is what the package's comment says that a product is.
func product(x, c []float32) (sum float32) {
	for i := range x {
		sum = fused(x[i], c[i], sum)
	}
	return sum
}

// norm adds up every sixteenth square, and then halves.
func norm(x []float32) float32 {
	var sums [Width]float32
	for i, v := range x {
		sums[i%Width] = fused(v, v, sums[i%Width])
	}
	for w := Width / 2; w > 0; w /= 2 {
		for l := range w {
			sums[l] += sums[l+w]
		}
	}
	return sums[0]
}

// TestFused compares the reference's own reference with exact arithmetic,
// where it is hardest: sums that lie next to the middle of two floats.
func TestFused(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		a, b := odd(random, 0), odd(random, 0)
		c := float32(math.Ldexp(float64(odd(random, 0)), random.IntN(60)-30))
		exact := new(big.Float).SetPrec(200).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
		exact.Add(exact, big.NewFloat(float64(c)))
		want, _ := exact.Float32()
		require.Equal(t, math.Float32bits(want), math.Float32bits(fused(a, b, c)), "%g·%g+%g", a, b, c)
	}
}

// odd returns a number with few digits or many.
func odd(random *rand.Rand, spread int) float32 {
	v := math.Float32frombits(0x3f800000 | random.Uint32()&(1<<23-1)<<random.IntN(24)&(1<<23-1))
	if random.IntN(2) == 0 {
		v = -v
	}
	return float32(math.Ldexp(float64(v), random.IntN(2*spread+1)-spread))
}

func randomMatrix(n, dim int, random *rand.Rand) Matrix {
	m := Matrix{Values: make([]float32, n*dim), Dim: dim}
	for i := range m.Values {
		m.Values[i] = odd(random, 12)
	}
	return m
}

func views(m Matrix) (rows [][]float32) {
	for i := range m.Len() {
		rows = append(rows, m.At(i))
	}
	return rows
}

// TestKernels compares every kernel of this processor with Go, bit for bit, at
// all widths and counts, whole and in part.
func TestKernels(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 2))
	for dim := 1; dim < 70; dim++ {
		for range 3 {
			xs, cs := randomMatrix(1+random.IntN(20), dim, random), randomMatrix(1+random.IntN(5*Width), dim, random)
			means := views(cs)
			means = append(means, means[random.IntN(len(means))]) // a tie
			scores := make([]float32, len(means))
			want := make([]Match, xs.Len())
			for i := range want {
				for j, c := range means {
					if scores[j] = product(xs.At(i), c) - norm(c)/2; j == 0 || scores[j] > want[i].Score {
						want[i] = Match{At: j, Score: scores[j]}
					}
				}
			}
			panels := NewPanels(dim, means)
			rows := make([]int32, random.IntN(20))
			for i := range rows {
				rows[i] = int32(random.IntN(xs.Len()))
			}
			for _, k := range kernels {
				what := fmt.Sprintf("kernel %d, width %d, %d vectors, %d centroids", k, dim, xs.Len(), len(means))
				require.Equal(t, want, panels.nearest(k, xs, nil), what)
				for i, m := range panels.nearest(k, xs, rows) {
					require.Equal(t, want[rows[i]], m, what)
				}
				for i, n := range k.norms(xs) {
					require.Equal(t, norm(xs.At(i)), n, what)
				}
				testMotion(t, k, xs, random)
			}
		}
	}
}

func testMotion(t *testing.T, k kernel, xs Matrix, random *rand.Rand) {
	t.Helper()
	sum, got := make([]float64, xs.Dim), make([]float64, xs.Dim)
	for _, x := range views(xs) {
		k.add(got, x)
		for i, v := range x {
			sum[i] += float64(v)
		}
	}
	require.Equal(t, sum, got)
	by, weight, old := random.Float64(), 10*random.Float64(), xs.At(0)
	moved, fresh := make([]float32, xs.Dim), make([]float32, xs.Dim)
	for i := range sum {
		motion := float64(by * float64(old[i])) // a conversion keeps products apart from sums
		moved[i], fresh[i] = float32((sum[i]+motion)/weight), float32(sum[i]/weight)
	}
	require.Equal(t, moved, k.move(sum, old, by, weight))
	require.Equal(t, fresh, k.move(sum, nil, by, weight))
}

// TestNearest compares with the definition of a distance.
func TestNearest(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 3))
	const dim = 37
	for _, n := range []int{1, 5, 6, 7, 80} {
		for _, k := range []int{1, 2, 7, Width, Width + 1, 5 * Width} {
			xs, cs := Matrix{make([]float32, n*dim), dim}, Matrix{make([]float32, k*dim), dim}
			for _, m := range []Matrix{xs, cs} {
				for i := range m.Values {
					m.Values[i] = float32(random.NormFloat64())
				}
			}
			norms := xs.Norms()
			for i, m := range NewPanels(dim, views(cs)).Nearest(xs, nil) {
				best, at := math.Inf(1), 0
				for j, c := range views(cs) {
					var d float64
					for l, v := range xs.At(i) {
						d += math.Pow(float64(v)-float64(c[l]), 2)
					}
					if d < best {
						best, at = d, j
					}
				}
				require.Equal(t, at, m.At)
				require.InDelta(t, best, float64(norms[i]-2*m.Score), 1e-4*best)
			}
		}
	}
}

// TestScores compares the scores of several centroids with those of each.
func TestScores(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 4))
	xs, cs := randomMatrix(23, 19, random), views(randomMatrix(Width-3, 19, random))
	scores := NewPanels(19, cs).Scores(xs)
	for j, c := range cs {
		for i, m := range NewPanels(19, [][]float32{c}).Nearest(xs, nil) {
			require.Equal(t, m.Score, scores[i*Width+j])
		}
	}
}

// TestWith changes centroids and leaves the panels before as they were.
func TestWith(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	const dim = 9
	means := views(randomMatrix(3*Width+2, dim, random))
	before := NewPanels(dim, means)
	changed := map[int][]float32{}
	after := slices.Clone(means)
	for _, i := range []int{0, 1, Width - 1, 3*Width + 1} {
		changed[i] = randomMatrix(1, dim, random).Values
		after[i] = changed[i]
	}
	require.Equal(t, NewPanels(dim, after), before.With(changed))
	require.Equal(t, NewPanels(dim, means), before)
	require.Equal(t, before, before.With(maps.Clone(map[int][]float32{})))
}
