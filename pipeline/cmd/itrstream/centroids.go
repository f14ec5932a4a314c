package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/stages/cluster"
)

func centroidsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "centroids",
		Short: "Save the centroids that Redis holds, and bring them back",
		Long: `Centroids and the offsets that they were folded from are one state. A snapshot
holds both, so it may be restored at any time: workers, running or not, fold
again what came after it, as far back as cluster.max_refold. With
cluster.snapshots.dir set, itrstream run writes snapshots by itself.`,
		Example: `  itrstream centroids snapshot before-upgrade.centroids -c itrstream.yaml
  itrstream centroids restore before-upgrade.centroids -c itrstream.yaml`,
	}
	cmd.AddCommand(snapshotCommand(), restoreCommand())
	return group(cmd)
}

func snapshotCommand() *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "snapshot FILE",
		Short:   "Write all centroids and cursors into a new file",
		Example: "  itrstream centroids snapshot today.centroids -c itrstream.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withCentroids(cmd, flags, func(c *pipeline.Centroids) error {
				snap, err := c.Snapshot(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return tell(cmd.OutOrStdout(), asJSON, "written", args[0], snap)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func restoreCommand() *cobra.Command {
	var flags configFlags
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring centroids and cursors back, under a new incarnation",
		Long: `Restore replaces what Redis holds for the configuration's namespace and bundle
by what a snapshot holds. Workers need not be stopped: they notice, claim their
partitions again and fold what the snapshot does not have.`,
		Example: `  itrstream centroids restore today.centroids -c itrstream.yaml
  itrstream centroids restore today.centroids -c itrstream.yaml --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withCentroids(cmd, flags, func(c *pipeline.Centroids) error {
				snap, err := c.Restore(cmd.Context(), args[0], force)
				if errors.Is(err, cluster.ErrHolds) {
					return fmt.Errorf("%w; --force replaces them", err)
				}
				if err != nil {
					return err
				}
				return tell(cmd.OutOrStdout(), asJSON, "restored", args[0], snap)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "replace centroids that Redis holds")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func withCentroids(cmd *cobra.Command, flags configFlags, use func(*pipeline.Centroids) error) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	c, err := pipeline.OpenCentroids(cmd.Context(), cfg, settings(logger(cfg.Log, cmd.ErrOrStderr())))
	if err != nil {
		return err
	}
	return errors.Join(use(c), c.Close())
}

// tell says what a snapshot holds.
func tell(w io.Writer, asJSON bool, done, file string, s cluster.Snapshot) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{
			"done": done, "file": file, "incarnation": s.Incarnation, "clusters": len(s.Rows), "pairs": s.Pairs, "partitions": len(s.Partitions),
		})
	}
	_, err := fmt.Fprintf(w, "%s %s: %d clusters of %d pairs, %d partitions\n", done, file, len(s.Rows), s.Pairs, len(s.Partitions))
	return err
}
