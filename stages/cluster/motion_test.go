package cluster

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

func randomVectors(n, dim int, random *rand.Rand) [][]float32 {
	xs := make([][]float32, n)
	for i := range xs {
		xs[i] = make([]float32, dim)
		for j := range xs[i] {
			xs[i][j] = float32(random.NormFloat64())
		}
	}
	return xs
}

// TestFoldIsAWeightedMean folds pairs one batch after the other and compares
// with the decayed mean over all of them.
func TestFoldIsAWeightedMean(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	const halfLife, size, batches = 50.0, 8, 20
	r := &row{}
	var count, checksum uint64
	want := make([]float64, 5)
	var weight, s2, s4 float64
	for b := range batches {
		clock := int64((b + 1) * size)
		s := &sums{}
		xs := randomVectors(size, 5, random)
		by := decay(size, halfLife)
		weight, s2, s4 = weight*by, s2*by, s4*by
		for j := range want {
			want[j] *= by
		}
		for i, x := range xs {
			p := &pair{x: x, label: i % schemas.Relations, checksum: random.Uint64()}
			d := float32(random.Float64())
			s.add(p, d, clock)
			for j := range want {
				want[j] += float64(x[j])
			}
			weight, s2, s4 = weight+1, s2+float64(d), s4+float64(d)*float64(d)
			count, checksum = count+1, checksum+p.checksum
		}
		r = r.fold(s, clock, halfLife)
	}
	require.InDelta(t, weight, r.weight, 1e-9)
	require.InDelta(t, s2, r.s2, 1e-6)
	require.InDelta(t, s4, r.s4, 1e-6)
	for j := range want {
		require.InDelta(t, want[j]/weight, float64(r.mean[j]), 1e-5)
	}
	require.Equal(t, count, r.count)
	require.Equal(t, checksum, r.checksum)
	require.InDelta(t, weight/schemas.Relations, r.labels[2], 1e-9)
	require.InDelta(t, weight/2, r.weightAt(batches*size+halfLife, halfLife), 1e-9)
	require.InDelta(t, weight, r.weightAt(0, halfLife), 1e-9, "a clock that went back decays nothing")
}

func TestNovel(t *testing.T) {
	t.Parallel()
	// Mean squared distance 0.5, standard deviation 0.1.
	r := &row{weight: 100, s2: 50, s4: 100 * (0.25 + 0.01)}
	require.False(t, r.novel(0.79))
	require.True(t, r.novel(0.81))
	r.weight = noveltyWeight - 1
	require.False(t, r.novel(100), "too light to say")
	require.False(t, (&row{weight: 50}).novel(distanceNoise/2), "equal pairs are not novel")
}

func TestClosest(t *testing.T) {
	t.Parallel()
	all := []representative{
		{"far", 0.9, 100},
		{"near", 0.1, 100},
		{"near", 0.2, 100},
		{"old", 0.15, 0},
		{"next", 0.3, 100},
	}
	posts := func(rs []representative) (out []string) {
		for _, r := range rs {
			out = append(out, r.post)
		}
		return out
	}
	require.Equal(t, []string{"near", "next", "old"}, posts(closest(append([]representative(nil), all...), 100, 50)))
	require.Equal(t, []string{"near", "old", "next"}, posts(closest(append([]representative(nil), all...), 100, 1e9)))
}

func TestAlarm(t *testing.T) {
	t.Parallel()
	type batch struct{ pairs, novel int }
	for name, tc := range map[string]struct {
		batches []batch
		alarms  []int // indexes of batches
	}{
		"quiet":             {[]batch{{100, 5}, {100, 0}, {100, 5}}, nil},
		"one loud batch":    {[]batch{{100, 50}, {100, 0}, {100, 50}, {100, 5}}, nil},
		"two loud batches":  {[]batch{{100, 6}, {100, 6}}, []int{1}},
		"once a streak":     {[]batch{{100, 6}, {100, 6}, {100, 6}, {100, 6}, {100, 6}}, []int{1}},
		"again after quiet": {[]batch{{100, 6}, {100, 6}, {100, 0}, {100, 6}, {100, 6}}, []int{1, 4}},
		"small batches":     {[]batch{{1, 1}, {1, 1}, {1, 1}}, nil},
		"small ones add up": {[]batch{{10, 1}, {10, 1}, {10, 1}, {10, 1}}, []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w window
			var alarms []int
			for i, b := range tc.batches {
				var alarm bool
				var share float64
				if w, share, alarm = w.add(b.pairs, b.novel, 0.05); alarm {
					require.Greater(t, share, 0.05)
					alarms = append(alarms, i)
				}
			}
			require.Equal(t, tc.alarms, alarms)
		})
	}
}

func TestKMeansOfFewPoints(t *testing.T) {
	t.Parallel()
	xs := [][]float32{{1, 0}, {1, 0}, {0, 1}, {0, 1}, {0, 1}}
	means, err := BatchKMeans(xs, 4, rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, err)
	require.ElementsMatch(t, [][]float32{{1, 0}, {0, 1}}, means, "two distinct points give two means")
	means, err = BatchKMeans(xs[:1], 4, rand.New(rand.NewPCG(1, 1)))
	require.NoError(t, err)
	require.Equal(t, xs[:1], means)
}
