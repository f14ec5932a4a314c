package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline/erasure"
)

func takedownCommand() *cobra.Command {
	var flags configFlags
	var o erasure.Options
	var execute, asJSON bool
	cmd := &cobra.Command{
		Use:   "takedown",
		Short: "Take a post or an author out of the data set, the images and the centroids",
		Long: `Takedown shows what it would take out; nothing is changed without --execute.
Then rows leave the data set, images that no other row has leave the image store
half a minute after they were put, centroids stop naming the posts, and nothing
of it comes back later. It ends when nothing is found any more, after a minute at
most, and prints a receipt that also says what stays, and for how long. Running
pipelines and collectors need not be stopped; the centroids need a running one.

A delete event in a posts topic does the same for its post, without this command.

An author is given as the input has him, or by the hash that results name him by;
it takes privacy.authors: hash. With his rows go the posts of his that
centroids name, where their ids say whose they are, as Bluesky's do.`,
		Example: `  itrstream takedown -c itrstream.yaml --subject at://did:plc:x/app.bsky.feed.post/3k
  itrstream takedown -c itrstream.yaml --subject 4711 --media --reason "order 12/26" --execute
  itrstream takedown -c itrstream.yaml --author did:plc:x --execute --json > receipt.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			e, err := erasure.Open(cmd.Context(), cfg, o, settings(logger(cfg.Log, cmd.ErrOrStderr())))
			if err != nil {
				return err
			}
			var r *erasure.Receipt
			if execute {
				r, err = e.Execute(cmd.Context())
			} else {
				r, err = e.Plan(cmd.Context())
			}
			if r != nil {
				err = errors.Join(err, printReceipt(cmd.OutOrStdout(), r, asJSON))
			}
			return errors.Join(err, e.Close())
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&o.Subject, "subject", "", "`id` of the post to take down")
	cmd.Flags().StringVar(&o.Author, "author", "", "`id` of the author whose posts to take down")
	cmd.Flags().BoolVar(&o.Media, "media", false, "take the images along, even where other posts have them, now and later")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "`text` for the receipt")
	cmd.Flags().BoolVar(&execute, "execute", false, "take down")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printReceipt(out io.Writer, r *erasure.Receipt, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	what := "post " + r.Subject
	if r.Author != "" {
		what = "author " + r.Author
	}
	if r.Executed {
		fmt.Fprintf(out, "Takedown of %s, requested at %s, took %.0f s.\n", what, r.RequestedAt.Format("2006-01-02 15:04:05 MST"), r.Took)
	} else {
		fmt.Fprintf(out, "Takedown of %s: nothing is changed yet.\n", what)
	}
	if r.Reason != "" {
		fmt.Fprintf(out, "Reason: %s\n", r.Reason)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	line := func(name string, n int, list []string) {
		fmt.Fprintf(w, "%s\t%d\t%s\n", name, n, few(list))
	}
	var results []string
	for _, row := range r.Rows {
		results = append(results, fmt.Sprintf("%.12s… #%d", row.ResultID, row.Pair))
	}
	line("rows", len(r.Rows), results)
	line("shards rewritten", len(r.Shards), r.Shards)
	if r.Executed {
		line("images deleted", len(r.Images), r.Images)
		line("images that wait", len(r.Waiting), r.Waiting)
		line("deletes sent", len(r.Deletes), r.Deletes)
	}
	line("posts that centroids name", len(r.Named), r.Named)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nWhat stays:")
	for _, s := range r.Remains {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.Where, s.What, s.Until)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !r.Executed {
		fmt.Fprintln(out, "\nWith --execute it is taken down.")
	}
	return nil
}

// few shows the beginning of a list; --json has all.
func few(list []string) string {
	const shown = 3
	if len(list) > shown {
		return strings.Join(list[:shown], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}
