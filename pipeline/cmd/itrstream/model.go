package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Look at a model bundle and try it, without Kafka",
		Example: `  itrstream model inspect model/bundles/itr-mini
  itrstream model verify model/bundles/itr-mini
  itrstream model label cat.jpg "My cat, asleep again"`,
	}
	cmd.AddCommand(inspectCommand(), verifyCommand(), labelCommand(), calibrateCommand())
	return group(cmd)
}

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error {
	return json.NewEncoder(w).Encode(v)
}

func inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect BUNDLE",
		Short: "Check a bundle's files and print its manifest",
		Example: `  itrstream model inspect model/bundles/itr-mini
  itrstream model inspect model/bundles/itr-mini --json | jq .metrics`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			manifest, digest, err := model.Inspect(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printManifest(cmd.OutOrStdout(), manifest, digest)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintf(w, "bundle\t%s %s (%s)\n", manifest.Name, manifest.Version, manifest.Variant)
			fmt.Fprintf(w, "digest\t%s\n", digest)
			fmt.Fprintf(w, "text\t%s, %d tokens at most, vector of %d\n", manifest.Text.Tokenizer.Type, manifest.Text.MaxTokens, manifest.Text.Width)
			fmt.Fprintf(w, "image\t%d×%d, %s, %s, vector of %d\n", manifest.Image.WidthPixels, manifest.Image.Height, manifest.Image.Resize, manifest.Image.Fit, manifest.Image.Width)
			fmt.Fprintf(w, "embedding\t%d\n", manifest.Head.Embedding)
			fmt.Fprintf(w, "calibration\t%s\n", manifest.Calibration.Source)
			for _, m := range manifest.Metrics {
				fmt.Fprintf(w, "%s\t%v on %s (%s)\n", m.Name, m.Value, m.Data, m.Split)
			}
			fmt.Fprintf(w, "files\t%d, all as the manifest says\n", len(manifest.Files))
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// printManifest writes the manifest as JSON under the names it has in YAML.
func printManifest(w io.Writer, m model.Manifest, digest string) error {
	text, err := yaml.Marshal(m)
	if err != nil {
		return err
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return err
	}
	fields["digest"] = digest
	return printJSON(w, fields)
}

// errDiffers is what verify ends with when it has printed how.
var errDiffers = errors.New("the bundle does not compute here what is on record")

func verifyCommand() *cobra.Command {
	var flags configFlags
	var asJSON bool
	var golden string
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Replay a bundle's golden posts and print the differences",
		Long: `Verify runs the posts that the bundle carries through tokenizer, pixels and
graphs, and compares with what the bundle's maker got. Token ids and pixels must
be equal, numbers within 0.001; it fails when they are not.

With --golden it replays the posts of another folder: python -m itr parity writes
what Hugging Face and PyTorch make of 100 posts.`,
		Example: `  itrstream model verify model/bundles/itr-mini
  itrstream model verify model/bundles/itr-mini --json
  itrstream model verify bundles/itr-paper --golden parity/reference
  itrstream model verify model/bundles/itr-mini --set model.device=cuda:0`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			flags.settings = append(flags.settings, "model.bundle="+args[0])
			m, err := flags.openModel(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.Close()) }()
			got, err := m.Verify(cmd.Context(), cmp.Or(golden, args[0]))
			if err != nil {
				return err
			}
			if err := printReplay(cmd.OutOrStdout(), got, asJSON); err != nil {
				return err
			}
			if !got.OK {
				return errDiffers
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&golden, "golden", "", "replay the golden posts of this `folder` instead of the bundle's own")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printReplay(out io.Writer, r model.Replay, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "token ids\tequal in %d of %d posts\n", r.EqualIDs, r.Posts)
	fmt.Fprintf(w, "pixels\tequal in %d of %d posts\n", r.EqualPixels, r.Posts)
	if e := r.PixelErrors; e != nil {
		fmt.Fprintf(w, "pixel errors\tat most %d of 255 levels, %.2g on average, above 1 in a share of %.2g\n", e.Max, e.Mean, e.Above)
	}
	for _, what := range []string{"text", "image", "logits", "similarity", "embedding", "cam", "cam sums"} {
		fmt.Fprintf(w, "%s\tlargest difference %.1e, relative to numbers above 1 %.1e\n", what, r.Absolute[what], r.Differences[what])
	}
	return w.Flush()
}

func labelCommand() *cobra.Command {
	var flags configFlags
	var asJSON bool
	var cam string
	cmd := &cobra.Command{
		Use:   "label IMAGE TEXT",
		Short: "Label one image and one text",
		Example: `  itrstream model label cat.jpg "My cat, asleep again"
  itrstream model label cat.jpg "My cat, asleep again" --cam cat-cam.png
  itrstream model label cat.jpg "My cat, asleep again" --json | jq .scores`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			encoded, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			m, err := flags.openModel(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.Close()) }()
			image, err := m.Pixels(encoded, pixels.Limits{MaxBytes: cfg.Media.MaxBytes, MaxPixels: cfg.Media.MaxPixels, MaxSide: cfg.Media.MaxSide})
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			got, err := m.Relate(cmd.Context(), args[1], image)
			if err != nil {
				return err
			}
			l := labelOf(got)
			if cam != "" {
				if err := writeCAM(cmd, m, cam, image, args[1], l.relation); err != nil {
					return err
				}
			}
			return l.print(cmd.OutOrStdout(), asJSON)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&cam, "cam", "", "write a heat map of what speaks for the relation into this PNG `file`")
	return cmd
}

func (f *configFlags) openModel(cmd *cobra.Command) (*model.Model, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log.Level == "info" {
		log.Level = "warn" // what is asked for goes to standard output; the log says what goes wrong
	}
	return model.Open(cfg.Model.Bundle, model.Options{
		Library: cfg.Model.Library, Device: cfg.Model.Device, Threads: cfg.Model.Threads,
		Calibration: cfg.Model.Calibration, Log: logger(log, cmd.ErrOrStderr()),
	})
}

// label is what the model says of one pair.
type label struct {
	relation          schemas.Relation
	Relation          string         `json:"relation"`
	Confidence        float32        `json:"confidence"`
	Scores            schemas.Scores `json:"scores"`
	TextIsRepresented float32        `json:"text_is_represented"`
	ImageAdds         float32        `json:"image_adds"`
	Similarity        float32        `json:"similarity"`
}

func labelOf(o model.Output) label {
	s := o.Scores
	best := schemas.Neither
	for r := range schemas.Relation(schemas.Relations) {
		if s[r] > s[best] {
			best = r
		}
	}
	return label{
		relation: best, Relation: best.String(), Confidence: s[best],
		Scores: schemas.Scores{
			Neither: float64(s[0]), ImageAdds: float64(s[1]), TextRepresented: float64(s[2]), Both: float64(s[3]),
		},
		TextIsRepresented: s[2] + s[3], ImageAdds: s[1] + s[3], Similarity: o.Similarity[0],
	}
}

func (l label) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, l)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "relation\t%s\t%.2f\n", l.Relation, l.Confidence)
	fmt.Fprintf(w, "text is represented\t\t%.2f\n", l.TextIsRepresented)
	fmt.Fprintf(w, "image adds\t\t%.2f\n", l.ImageAdds)
	fmt.Fprintf(w, "similarity\t\t%.2f\n", l.Similarity)
	return w.Flush()
}

func writeCAM(cmd *cobra.Command, m *model.Model, path string, image []uint8, text string, of schemas.Relation) (err error) {
	cam, err := m.Explain(cmd.Context(), image, text)
	if err != nil {
		return err
	}
	file, err := os.Create(path) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return png.Encode(file, cam.Overlay(image, m.Height(), m.Width(), of))
}
