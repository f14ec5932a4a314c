package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline/collector/inspect"
	"github.com/itrstream/itrstream/pipeline/collector/sheet"
	"github.com/itrstream/itrstream/schemas"
)

func datasetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dataset",
		Short: "Look at a data set that itrstream collect writes",
		Long: `PATH is the folder of the data set, or its address as collect.dataset has it:
file:///folder, s3://bucket, gs://bucket or azblob://container. Nothing is
changed, and itrstream collect may be at work meanwhile.`,
		Example: `  itrstream dataset stats collected
  itrstream dataset verify 's3://posts?prefix=collected/'
  itrstream dataset sample collected --out sample.png`,
	}
	cmd.AddCommand(statsCommand(), verifyDatasetCommand(), sampleCommand())
	return group(cmd)
}

// withDataset opens the data set that a command names.
func withDataset(cmd *cobra.Command, place string, look func(*inspect.Set) error) error {
	set, err := inspect.Open(cmd.Context(), place)
	if err != nil {
		return err
	}
	return errors.Join(look(set), set.Close())
}

func statsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats PATH",
		Short: "Count what is in a data set",
		Long: `Stats counts pairs by relation, source, language, day, reason of selection,
licence and model, and says what was dropped, duplicates among it.

Pairs were selected with different probabilities, so their shares are not those
of the stream. The estimate is: each pair weighs 1/inclusion_probability, and
behind ± stands twice the standard error. What collectors dropped as duplicates
and what takedowns removed is missing from it.`,
		Example: `  itrstream dataset stats collected
  itrstream dataset stats collected --json | jq '.relations[] | {name, estimated_share}'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDataset(cmd, args[0], func(set *inspect.Set) error {
				report, err := set.Report(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
				}
				return printReport(cmd.OutOrStdout(), &report)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// shownShares bounds a table; --json has all.
const shownShares = 12

func printReport(out io.Writer, r *inspect.Report) error {
	fmt.Fprintf(out, "%d pairs in %d shards, %s (images %s)", r.Rows, r.Shards, size(r.Bytes), size(r.ImageBytes))
	if r.Rows > 0 {
		fmt.Fprintf(out, ", collected %s to %s, standing for about %.0f", r.First.Format(time.DateTime), r.Last.Format(time.DateTime), r.EstimatedPairs)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, table := range []struct {
		name   string
		shares []inspect.Share
	}{
		{"relation", r.Relations},
		{"source", r.Sources},
		{"language", r.Langs},
		{"day", r.Days},
		{"selected by", r.Reasons},
		{"licence", r.Licenses},
		{"model", r.Models},
	} {
		fmt.Fprintf(w, "\n%s\tpairs\tshare\testimate for the stream\n", table.name)
		for _, s := range table.shares[:min(len(table.shares), shownShares)] {
			name := s.Name
			if name == "" {
				name = "(none)"
			}
			fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%.1f %% ± %.1f\n", name, s.Rows, 100*s.Share, 100*s.Estimate, 200*s.Error)
		}
		if more := len(table.shares) - shownShares; more > 0 {
			fmt.Fprintf(w, "%d more\n", more)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, reason := range slices.Sorted(maps.Keys(r.Dropped)) {
		fmt.Fprintf(out, "dropped, %s: %d\n", strings.ReplaceAll(reason, "_", " "), r.Dropped[reason])
	}
	if r.Sensitive > 0 {
		fmt.Fprintf(out, "of sensitive posts: %d\n", r.Sensitive)
	}
	fmt.Fprintf(out, "removed by takedowns: %d\n", r.Removed)
	for _, in := range r.Inputs {
		fmt.Fprintf(out, "from %s/%d: offsets %d to %d\n", in.Topic, in.Partition, in.From, in.To)
		for _, gap := range in.Gaps {
			fmt.Fprintf(out, "  never seen, deleted by Kafka's retention: %d to %d\n", gap.From, gap.To)
		}
	}
	return nil
}

// size is for people.
func size(bytes int64) string {
	const step = 1024
	if bytes < step {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes)/step, 0
	for ; value >= step && unit < 3; unit++ {
		value /= step
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[unit])
}

func verifyDatasetCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify PATH",
		Short: "Check every shard and row of a data set",
		Long: `Verify reads everything: that the log of each partition is without breaks and
overlaps; that each shard has the SHA-256, length, rows and counts that the log
says; that each image has its digest and can be decoded; that no pair is there
twice, and none that was taken down; and that no file is there that nobody names.

What is wrong is listed, and the exit status is 1. Files of the last hour that
nobody names may be in the making: they are listed, and are no fault.`,
		Example: `  itrstream dataset verify collected
  itrstream dataset verify collected --json | jq -r '.faults[] | .where + ": " + .what'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDataset(cmd, args[0], func(set *inspect.Set) error {
				verdict, err := set.Verify(cmd.Context(), time.Now())
				if err != nil {
					return err
				}
				if err := printVerdict(cmd.OutOrStdout(), &verdict, asJSON); err != nil {
					return err
				}
				if !verdict.Whole() {
					return fmt.Errorf("%s: %d faults", args[0], len(verdict.Faults)+verdict.More)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printVerdict(out io.Writer, v *inspect.Verdict, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	for _, f := range v.Faults {
		fmt.Fprintf(out, "%s: %s\n", f.Where, f.What)
	}
	if v.More > 0 {
		fmt.Fprintf(out, "and %d more\n", v.More)
	}
	for _, key := range v.Unsettled {
		fmt.Fprintf(out, "%s: in the making, or soon to be removed; no fault\n", key)
	}
	fmt.Fprintf(out, "read %d shards with %d pairs: %d faults\n", v.Shards, v.Rows, len(v.Faults)+v.More)
	return nil
}

func sampleCommand() *cobra.Command {
	var count, columns int
	var seed uint64
	var relation, name string
	cmd := &cobra.Command{
		Use:   "sample PATH",
		Short: "Draw pairs of a data set onto a contact sheet",
		Long: `Sample writes a PNG with images in a grid, each with its relation, that relation's
score, and the beginning of its text. The same seed chooses the same pairs, and
more of them with a larger --count. The letters are Latin, Greek and Cyrillic;
others show as boxes.`,
		Example: `  itrstream dataset sample collected --out sample.png
  itrstream dataset sample collected --out both.png --relation both --count 60 --columns 10 --seed 7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case count < 1 || count > sheet.MaxPairs:
				return fmt.Errorf("--count: %d: must be 1 to %d", count, sheet.MaxPairs)
			case columns < 1:
				return fmt.Errorf("--columns: %d: must be 1 or more", columns)
			case relation != "" && !slices.Contains(schemas.RelationNames(), relation):
				return fmt.Errorf("--relation: %q: must be one of %s", relation, strings.Join(schemas.RelationNames(), ", "))
			}
			return withDataset(cmd, args[0], func(set *inspect.Set) error {
				rows, err := set.Sample(cmd.Context(), count, seed, relation)
				if err != nil {
					return err
				}
				if len(rows) == 0 {
					return fmt.Errorf("%s: no pair to draw", args[0])
				}
				pairs := make([]sheet.Pair, len(rows))
				for i := range rows {
					pairs[i] = sheet.Of(&rows[i])
				}
				drawn, err := sheet.Draw(pairs, min(columns, len(pairs)))
				if err != nil {
					return err
				}
				file, err := os.Create(name) //nolint:gosec // the operator names it
				if err != nil {
					return fmt.Errorf("--out: %w", err)
				}
				if err := errors.Join(png.Encode(file, drawn), file.Close()); err != nil {
					return fmt.Errorf("--out: writing %s: %w", name, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d pairs, %d×%d pixels\n", name, len(pairs), drawn.Rect.Dx(), drawn.Rect.Dy())
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "out", "sample.png", "write the sheet into this `file`")
	cmd.Flags().IntVar(&count, "count", 24, "draw so many pairs")
	cmd.Flags().IntVar(&columns, "columns", 6, "draw so many side by side")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "choose other pairs")
	cmd.Flags().StringVar(&relation, "relation", "", "draw only pairs of this `relation`")
	return cmd
}
