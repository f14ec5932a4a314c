package model

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/itrstream/itrstream/schemas"
)

// calibrationFormat is the format of calibration files that this code reads.
const calibrationFormat = 1

// CalibrationFile is a calibration that was fitted to somebody's posts after
// the bundle was made. It lies beside the bundle and has a digest of its own.
type CalibrationFile struct {
	Format int `yaml:"format"`
	// Bundle is the digest of the bundle that it was fitted for.
	Bundle      string `yaml:"bundle"`
	Calibration `yaml:",inline"`
}

// NewCalibrationFile is what the bundle with that digest is to use instead of its own.
func NewCalibrationFile(bundle string, c Calibration) CalibrationFile {
	return CalibrationFile{Format: calibrationFormat, Bundle: bundle, Calibration: c}
}

// ReadCalibration returns a calibration file and its digest.
func ReadCalibration(path string) (CalibrationFile, string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return CalibrationFile{}, "", fmt.Errorf("model: read calibration: %w", err)
	}
	var f CalibrationFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return CalibrationFile{}, "", fmt.Errorf("model: calibration %s: %w", path, err)
	}
	if f.Format != calibrationFormat {
		return CalibrationFile{}, "", fmt.Errorf("model: calibration %s: format %d is not %d", path, f.Format, calibrationFormat)
	}
	if err := f.finite(); err != nil {
		return CalibrationFile{}, "", fmt.Errorf("model: calibration %s: %w", path, err)
	}
	return f, hexDigest(data), nil
}

// Write makes the file, which must not be there yet unless force is given.
func (f CalibrationFile) Write(path string, force bool) error {
	data, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("model: write calibration: %w", err)
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, how, 0o644) //nolint:gosec // holds nothing secret, and others may run the pipeline
	if err != nil {
		return fmt.Errorf("model: write calibration: %w", err)
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

func (c Calibration) finite() error {
	values := c.Bias[:]
	for _, row := range c.Matrix {
		values = append(values, row[:]...)
	}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%v is no number to calibrate with", v)
		}
	}
	return nil
}

// Probabilities are the scores of one pair, by relation.
type Probabilities = [schemas.Relations]float64

// Adjustment is a further calibration of scores: softmax(Slope·log score + Bias).
type Adjustment struct {
	Slope float64
	Bias  Probabilities
}

// Apply returns the adjusted scores.
func (a Adjustment) Apply(s Probabilities) Probabilities {
	var out Probabilities
	most := math.Inf(-1)
	for k := range s {
		out[k] = a.Slope*logProbability(s[k]) + a.Bias[k]
		most = max(most, out[k])
	}
	sum := 0.0
	for k := range out {
		out[k] = math.Exp(out[k] - most)
		sum += out[k]
	}
	for k := range out {
		out[k] /= sum
	}
	return out
}

// After is the calibration that gives at once what c and then a give.
func (c Calibration) After(a Adjustment, source string) Calibration {
	out := Calibration{Source: source}
	for k := range c.Bias {
		for j := range c.Matrix[k] {
			out.Matrix[k][j] = a.Slope * c.Matrix[k][j]
		}
		out.Bias[k] = a.Slope*c.Bias[k] + a.Bias[k]
	}
	return out
}

// logProbability keeps the smallest ones finite.
func logProbability(s float64) float64 { return math.Log(max(s, 1e-12)) }

// MatchPriors finds the biases with which the mean score of each relation
// over a sample is its prior: prior matching on unlabelled posts. Which of two
// posts scores higher for a relation stays nearly as it was.
func MatchPriors(sample []Probabilities, priors Probabilities) (Adjustment, error) {
	if len(sample) < minSample {
		return Adjustment{}, fmt.Errorf("model: %d pairs are too few to calibrate on: %d at least", len(sample), minSample)
	}
	sum := 0.0
	for _, p := range priors {
		if !(p > 0) {
			return Adjustment{}, fmt.Errorf("model: priors %v: each must be above 0", priors)
		}
		sum += p
	}
	a := Adjustment{Slope: 1}
	for range 10_000 {
		mean := Mean(sample, a)
		worst := 0.0
		for k := range mean {
			step := math.Log(priors[k] / sum / max(mean[k], 1e-12))
			a.Bias[k] += step
			worst = max(worst, math.Abs(step))
		}
		if worst < 1e-9 {
			break
		}
	}
	return a.centred(), nil
}

// minSample is the fewest pairs that a calibration can be fitted to.
const minSample = 20

// Mean is the mean adjusted score of each relation.
func Mean(sample []Probabilities, a Adjustment) Probabilities {
	var mean Probabilities
	for _, s := range sample {
		for k, v := range a.Apply(s) {
			mean[k] += v / float64(len(sample))
		}
	}
	return mean
}

// FitVerdicts finds slope and biases that make the verdicts on a sample most
// likely, with a pull towards no change that counts as much as ten verdicts.
func FitVerdicts(sample []Probabilities, verdicts []schemas.Relation) (Adjustment, error) {
	if len(sample) != len(verdicts) || len(sample) < minSample {
		return Adjustment{}, fmt.Errorf("model: %d pairs with %d verdicts to calibrate on: %d of each at least", len(sample), len(verdicts), minSample)
	}
	a, step := Adjustment{Slope: 1}, 1.0
	loss := verdictLoss(sample, verdicts, a)
	for range 5_000 {
		slope, bias := verdictGradient(sample, verdicts, a)
		next := Adjustment{Slope: a.Slope - step*slope}
		for k := range bias {
			next.Bias[k] = a.Bias[k] - step*bias[k]
		}
		better := verdictLoss(sample, verdicts, next)
		switch {
		case better > loss:
			step /= 2
		case loss-better < 1e-12:
			return next.centred(), nil
		default:
			a, loss, step = next, better, step*1.2
		}
	}
	return a.centred(), nil
}

// pull is the weight of the prior that nothing is to change, in verdicts.
const pull = 10.0

// verdictLoss is the mean negative log likelihood of the verdicts, with the
// pull.
func verdictLoss(sample []Probabilities, verdicts []schemas.Relation, a Adjustment) float64 {
	loss := 0.0
	for i, s := range sample {
		loss -= logProbability(a.Apply(s)[verdicts[i]])
	}
	away := (a.Slope - 1) * (a.Slope - 1)
	for _, b := range a.Bias {
		away += b * b
	}
	return (loss + pull*away/2) / float64(len(sample))
}

func verdictGradient(sample []Probabilities, verdicts []schemas.Relation, a Adjustment) (slope float64, bias Probabilities) {
	for i, s := range sample {
		for k, p := range a.Apply(s) {
			off := p
			if schemas.Relation(k) == verdicts[i] {
				off--
			}
			slope += off * logProbability(s[k])
			bias[k] += off
		}
	}
	n := float64(len(sample))
	slope = (slope + pull*(a.Slope-1)) / n
	for k := range bias {
		bias[k] = (bias[k] + pull*a.Bias[k]) / n
	}
	return slope, bias
}

// centred takes the common part out of the biases: softmax doesn't see it.
func (a Adjustment) centred() Adjustment {
	mean := 0.0
	for _, b := range a.Bias {
		mean += b / schemas.Relations
	}
	for k := range a.Bias {
		a.Bias[k] -= mean
	}
	return a
}
