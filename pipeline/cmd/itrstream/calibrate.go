package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

// twitterPriors are the shares of the relations in the public Twitter label
// set (Vempala and Preoţiuc-Pietro), in percent.
const twitterPriors = "33.6,25.6,22.0,18.8"

func calibrateCommand() *cobra.Command {
	var flags configFlags
	var priors, out string
	var verdicts, force bool
	cmd := &cobra.Command{
		Use:   "calibrate POSTS.jsonl",
		Short: "Fit the model's probabilities to your own posts",
		Long: `Calibrate labels a sample of your posts (post.v1, one a line, images inline) and
writes a calibration file for model.calibration. Without labels it makes the mean
score of each relation over the sample equal to its prior (--priors, percent, in
the order neither, image_adds, text_represented, both). With --verdicts each
line also has a "relation", a person's label of that post, and what makes those
most likely is fitted.`,
		Example: `  itrstream model calibrate sample.jsonl --out mine.yaml
  itrstream model calibrate sample.jsonl --priors 50,20,20,10 --out mine.yaml
  itrstream model calibrate judged.jsonl --verdicts --out mine.yaml
  itrstream run -c itrstream.yaml --set model.calibration=mine.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			shares, err := parsePriors(priors)
			if err != nil {
				return err
			}
			if _, err := os.Stat(out); err == nil && !force {
				return fmt.Errorf("%s is there already; --force replaces it", out)
			}
			m, err := flags.openModel(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.Close()) }()
			s, err := readSample(cmd, m, args[0], verdicts)
			if err != nil {
				return err
			}
			var a model.Adjustment
			source := fmt.Sprintf("priors %s over %d pairs", priors, len(s.scores))
			if verdicts {
				a, err = model.FitVerdicts(s.scores, s.verdicts)
				source = fmt.Sprintf("%d verdicts", len(s.verdicts))
			} else {
				a, err = model.MatchPriors(s.scores, shares)
			}
			if err != nil {
				return err
			}
			file := model.NewCalibrationFile(m.Digest(), m.Manifest().Calibration.After(a, source))
			if err := file.Write(out, force); err != nil {
				return err
			}
			return s.report(cmd.OutOrStdout(), a, out)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&priors, "priors", twitterPriors, "shares of the relations, in `percent`")
	cmd.Flags().BoolVar(&verdicts, "verdicts", false, "fit to the relation that each line names")
	cmd.Flags().StringVar(&out, "out", "calibration.yaml", "`file` to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return cmd
}

func parsePriors(s string) (model.Probabilities, error) {
	parts := strings.Split(s, ",")
	var out model.Probabilities
	if len(parts) != len(out) {
		return out, fmt.Errorf("--priors %s: must be four percentages, as in %s", s, twitterPriors)
	}
	for i, p := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || v <= 0 {
			return out, fmt.Errorf("--priors %s: %q must be a number above 0", s, p)
		}
		out[i] = v
	}
	return out, nil
}

// sample is what the model says of the posts of a file.
type sample struct {
	scores   []model.Probabilities
	verdicts []schemas.Relation
	skipped  int // images that could not be read
}

// maxLine bounds one post of a sample.
const maxLine = 64 << 20

func readSample(cmd *cobra.Command, m *model.Model, path string, verdicts bool) (*sample, error) {
	file, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // opened to read
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), maxLine)
	s := &sample{}
	for n := 1; lines.Scan(); n++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		var post struct {
			schemas.Post
			Relation string `json:"relation"`
		}
		if err := json.Unmarshal(lines.Bytes(), &post); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		verdict := slices.Index(schemas.RelationNames(), post.Relation)
		if verdicts && verdict < 0 {
			return nil, fmt.Errorf("%s:%d: relation %q: must be one of %s", path, n, post.Relation, strings.Join(schemas.RelationNames(), ", "))
		}
		for _, media := range post.Media {
			scores, ok, err := scoreOf(cmd, m, post.Text, media)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, n, err)
			}
			if !ok {
				s.skipped++
				continue
			}
			s.scores = append(s.scores, scores)
			if verdicts {
				s.verdicts = append(s.verdicts, schemas.Relation(verdict)) //nolint:gosec // one of four
			}
		}
		if n%100 == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d posts\n", n)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// scoreOf labels one pair; false when its image is not inline or cannot be
// read.
func scoreOf(cmd *cobra.Command, m *model.Model, text string, media schemas.Media) (model.Probabilities, bool, error) {
	var scores model.Probabilities
	image, err := m.Pixels(media.Data, pixels.Limits{MaxBytes: maxLine, MaxPixels: 1 << 26, MaxSide: 1 << 14})
	if err != nil {
		return scores, false, nil //nolint:nilerr // counted, and reported at the end
	}
	got, err := m.Relate(cmd.Context(), text, image)
	if err != nil {
		return scores, false, err
	}
	for k := range scores {
		scores[k] = float64(got.Scores[k])
	}
	return scores, true, nil
}

func (s *sample) report(out io.Writer, a model.Adjustment, path string) error {
	before, after := model.Mean(s.scores, model.Adjustment{Slope: 1}), model.Mean(s.scores, a)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "mean score\tbefore\tafter\n")
	for k, name := range schemas.RelationNames() {
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\n", name, before[k], after[k])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d pairs, %d images without inline bytes that could be read; wrote %s\n", len(s.scores), s.skipped, path)
	return err
}
