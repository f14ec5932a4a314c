package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline/redrive"
)

func redriveCommand() *cobra.Command {
	var flags configFlags
	var o redrive.Options
	var since, until string
	var execute, asJSON bool
	cmd := &cobra.Command{
		Use:   "redrive",
		Short: "Send dead letters back to the topics they came from",
		Long: `Redrive reads the dead-letter topic and shows what it would send back: nothing
is sent without --execute. Then each chosen dead letter goes back to its source
topic once, byte for byte as it came, however often redrive is called or
interrupted: what was sent is marked in the dead-letter topic in the same
transaction. What the filters leave out stays for another redrive.

A record that is sent back carries two headers more, itrstream-redrive-attempt
and itrstream-redrive-of (the dead letter's topic/partition/offset). When it fails
again, its new dead letter carries them too, and is sent back until it has had
--max-attempts.

In the table, cut are dead letters that do not hold all of the original bytes;
elsewhere, those of a topic that topics.posts does not name; redriven, those that
an earlier redrive has sent; repeated, further copies of a record; at_limit, those that
have had their attempts; refused, those too large for their topic by now. None of
them is sent.`,
		Example: `  itrstream redrive -c itrstream.yaml
  itrstream redrive -c itrstream.yaml --reason media_failed --since 24h
  itrstream redrive -c itrstream.yaml --reason media_failed --since 24h --execute
  itrstream redrive -c itrstream.yaml --json | jq .to_send`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			now := time.Now()
			if o.Since, err = moment("--since", since, now); err != nil {
				return err
			}
			if o.Until, err = moment("--until", until, now); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			r, err := redrive.Open(cmd.Context(), cfg, o, redrive.Settings{
				Log: logger(cfg.Log, cmd.ErrOrStderr()), Now: time.Now,
				Planned: func(p *redrive.Plan) error {
					if asJSON {
						return nil
					}
					return printPlan(out, p)
				},
				Progress: progress(cmd.ErrOrStderr()),
			})
			if err != nil {
				return err
			}
			defer r.Close()
			if !execute {
				p, err := r.Plan(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return planJSON(out, p, 0, false)
				}
				if err := printPlan(out, p); err != nil {
					return err
				}
				fmt.Fprintf(out, "Nothing was sent. With --execute, %s would go back.\n", records(p.Count(redrive.Send)))
				return nil
			}
			p, sent, err := r.Execute(cmd.Context())
			if p != nil && asJSON {
				if failed := planJSON(out, p, sent, true); err == nil {
					err = failed
				}
			}
			if p != nil && !asJSON {
				fmt.Fprintf(out, "%s of %d sent back.\n", records(sent), p.Count(redrive.Send))
			}
			if err != nil && sent > 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "The same command goes on where this one ended.")
			}
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().StringArrayVar(&o.Reasons, "reason", nil, "only dead letters of this `reason`, as in their header itrstream-reason (repeat)")
	cmd.Flags().StringArrayVar(&o.Stages, "stage", nil, "only dead letters of this `stage`: decode, media (repeat)")
	cmd.Flags().StringVar(&since, "since", "", "only dead letters written at this `time` or later: 2026-09-01T10:15:30Z, 2026-09-01, or 24h for so long ago")
	cmd.Flags().StringVar(&until, "until", "", "only dead letters written before this `time`")
	cmd.Flags().IntVar(&o.MaxAttempts, "max-attempts", 3, "send no record back more than `n` times")
	cmd.Flags().BoolVar(&execute, "execute", false, "send what the plan says")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// moment reads a time, a day in UTC, or how long ago.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q: must be a time such as 2026-09-01T10:15:30Z, a day such as 2026-09-01, or a duration such as 24h", flag, text)
}

func records(n int) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}

// printPlan shows one line a group, and only the columns that count something.
func printPlan(out io.Writer, p *redrive.Plan) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	var shown []redrive.Fate
	head := []string{"reason", "stage", "source"}
	for _, f := range redrive.Fates() {
		if f == redrive.Send || p.Count(f) > 0 {
			shown, head = append(shown, f), append(head, f.String())
		}
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, g := range p.Groups {
		fmt.Fprintf(w, "%s\t%s\t%s", g.Reason, g.Stage, g.Source)
		for _, f := range shown {
			fmt.Fprintf(w, "\t%d", g.Counts[f])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "all\t\t")
	for _, f := range shown {
		fmt.Fprintf(w, "\t%d", p.Count(f))
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	if p.LeftOut > 0 {
		fmt.Fprintf(out, "The filters leave %s out.\n", records(p.LeftOut))
	}
	if p.Foreign > 0 {
		fmt.Fprintf(out, "%s in the topic: no dead letters of itrstream.\n", records(p.Foreign))
	}
	return nil
}

// planJSON prints the plan as one object, fates by name.
func planJSON(out io.Writer, p *redrive.Plan, sent int, executed bool) error {
	object := map[string]any{"executed": executed, "sent": sent, "left_out": p.LeftOut, "foreign": p.Foreign}
	groups := make([]map[string]any, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = map[string]any{"reason": g.Reason, "stage": g.Stage, "source": g.Source}
		for _, f := range redrive.Fates() {
			groups[i][f.String()] = g.Counts[f]
		}
	}
	for _, f := range redrive.Fates() {
		object[f.String()] = p.Count(f)
	}
	object["groups"] = groups
	return json.NewEncoder(out).Encode(object)
}

// progress tells how it goes, every few seconds.
func progress(w io.Writer) func(sent, all int) {
	last := time.Now()
	return func(sent, all int) {
		if now := time.Now(); now.Sub(last) >= 2*time.Second {
			last = now
			fmt.Fprintf(w, "%d of %d sent back\n", sent, all)
		}
	}
}
