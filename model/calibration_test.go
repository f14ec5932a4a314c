package model

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// drawn returns scores of n pairs and the relation each was drawn for: the
// true log scores are slope·log score + bias.
func drawn(n int, slope float64, bias Probabilities) ([]Probabilities, []schemas.Relation) {
	r := rand.New(rand.NewPCG(1, 2))
	sample, relations := make([]Probabilities, n), make([]schemas.Relation, n)
	truth := Adjustment{Slope: slope, Bias: bias}
	for i := range sample {
		sum := 0.0
		for k := range sample[i] {
			sample[i][k] = math.Exp(1.5 * r.NormFloat64())
			sum += sample[i][k]
		}
		for k := range sample[i] {
			sample[i][k] /= sum
		}
		u := r.Float64()
		for k, p := range truth.Apply(sample[i]) {
			if u -= p; u <= 0 {
				relations[i] = schemas.Relation(k)
				break
			}
		}
	}
	return sample, relations
}

func TestMatchPriorsGivesThePriors(t *testing.T) {
	t.Parallel()
	sample, _ := drawn(500, 1, Probabilities{})
	a, err := MatchPriors(sample, Probabilities{50, 25, 15, 10}) // shares of any scale
	require.NoError(t, err)
	require.InDelta(t, 1, a.Slope, 0)
	for k, want := range []float64{.5, .25, .15, .10} {
		require.InDelta(t, want, Mean(sample, a)[k], 1e-6)
	}
}

func TestFitVerdictsFindsWhatTheyWereDrawnFrom(t *testing.T) {
	t.Parallel()
	bias := Probabilities{0.9, -0.3, 0.2, -0.8}
	sample, relations := drawn(20_000, 0.6, bias)
	a, err := FitVerdicts(sample, relations)
	require.NoError(t, err)
	require.InDelta(t, 0.6, a.Slope, 0.05)
	for k := range bias {
		require.InDelta(t, bias[k], a.Bias[k], 0.08)
	}
	require.Less(t, verdictLoss(sample, relations, a), verdictLoss(sample, relations, Adjustment{Slope: 1}))
}

func TestFewVerdictsChangeLittle(t *testing.T) {
	t.Parallel()
	sample, relations := drawn(minSample, 1, Probabilities{})
	for i := range relations {
		relations[i] = schemas.Both
	}
	a, err := FitVerdicts(sample, relations)
	require.NoError(t, err)
	require.Greater(t, a.Bias[schemas.Both], 0.0)
	require.Less(t, a.Bias[schemas.Both], 3.0)
}

func TestCalibrationNeedsASample(t *testing.T) {
	t.Parallel()
	sample, relations := drawn(minSample-1, 1, Probabilities{})
	_, err := MatchPriors(sample, Probabilities{1, 1, 1, 1})
	require.ErrorContains(t, err, "too few")
	_, err = FitVerdicts(sample, relations)
	require.Error(t, err)
	sample, _ = drawn(minSample, 1, Probabilities{})
	_, err = MatchPriors(sample, Probabilities{1, 0, 1, 1})
	require.ErrorContains(t, err, "above 0")
}

func TestAfterIsOneCalibrationForTwo(t *testing.T) {
	t.Parallel()
	c := Calibration{Bias: [4]float64{.1, .2, .3, -.4}}
	for k := range c.Matrix {
		c.Matrix[k] = [4]float64{.5, .1 * float64(k), -.2, 1}
	}
	a := Adjustment{Slope: 0.7, Bias: Probabilities{.3, -.1, 0, .5}}
	logits := []float32{0.5, -1, 2, 0.25}
	two, one := make([]float32, 4), make([]float32, 4)
	c.apply(two, logits)
	var first Probabilities
	for k := range first {
		first[k] = float64(two[k])
	}
	both := c.After(a, "test")
	both.apply(one, logits)
	for k, want := range a.Apply(first) {
		require.InDelta(t, want, one[k], 1e-6)
	}
}

func TestACalibrationFileTakesThePlaceOfTheBundles(t *testing.T) {
	t.Parallel()
	plain := openBundle(t, tinyBundle)
	path := filepath.Join(t.TempDir(), "mine.yaml")
	a := Adjustment{Slope: 1, Bias: Probabilities{5, 0, 0, 0}}
	f := NewCalibrationFile(plain.Digest(), plain.Manifest().Calibration.After(a, "test"))
	require.NoError(t, f.Write(path, false))
	require.Error(t, f.Write(path, false), "a file is not replaced unasked")
	require.NoError(t, f.Write(path, true))

	fitted, err := Open(tinyBundle, Options{Device: "cpu", Calibration: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, fitted.Close()) })
	require.Len(t, fitted.CalibrationDigest(), 64)
	require.Empty(t, plain.CalibrationDigest())
	require.Equal(t, plain.Digest(), fitted.Digest())
	black := make([]uint8, plain.pixelBytes())
	before, err := plain.Relate(t.Context(), "hello", black)
	require.NoError(t, err)
	after, err := fitted.Relate(t.Context(), "hello", black)
	require.NoError(t, err)
	require.Greater(t, after.Scores[0], before.Scores[0])

	f.Bundle = "another"
	require.NoError(t, f.Write(path, true))
	_, err = Open(tinyBundle, Options{Device: "cpu", Calibration: path})
	require.ErrorContains(t, err, "fitted for the bundle another")
}
