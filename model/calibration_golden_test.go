package model

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// calibrationGolden is what the Python package's calibrate makes of a sample
// (testdata/calibration_golden.py).
type calibrationGolden struct {
	Logits      [][]float32
	Verdicts    []schemas.Relation
	Calibration Calibration
	Priors      Probabilities
	Fitted      struct{ Priors, Verdicts Calibration }
}

func TestPythonFitsTheSame(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/calibration_golden.json")
	require.NoError(t, err)
	var want calibrationGolden
	require.NoError(t, json.Unmarshal(data, &want))
	sample := make([]Probabilities, len(want.Logits))
	for i, logits := range want.Logits {
		scores := make([]float32, schemas.Relations)
		want.Calibration.apply(scores, logits)
		for k, s := range scores {
			sample[i][k] = float64(s)
		}
	}
	byPriors, err := MatchPriors(sample, want.Priors)
	require.NoError(t, err)
	byVerdicts, err := FitVerdicts(sample, want.Verdicts)
	require.NoError(t, err)
	requireClose(t, want.Fitted.Priors, want.Calibration.After(byPriors, ""))
	requireClose(t, want.Fitted.Verdicts, want.Calibration.After(byVerdicts, ""))

	file, digest, err := ReadCalibration("testdata/calibration_golden.yaml")
	require.NoError(t, err, "a file that Python wrote")
	require.Len(t, digest, 64)
	require.Equal(t, "priors", file.Source)
	requireClose(t, want.Fitted.Priors, file.Calibration)
}

func requireClose(t *testing.T, want, got Calibration) {
	t.Helper()
	for k := range want.Bias {
		require.InDelta(t, want.Bias[k], got.Bias[k], 1e-6)
		require.InDeltaSlice(t, want.Matrix[k][:], got.Matrix[k][:], 1e-6)
	}
}
