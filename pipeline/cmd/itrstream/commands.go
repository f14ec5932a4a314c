package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/demo"
)

func runCommand() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the pipeline until it is stopped",
		Long: `Run reads the posts topics as a member of a consumer group and writes results,
tombstones, dead letters, moderation and review copies, and cluster events.

Ctrl-C or SIGTERM finishes what is in flight and commits it; a second one exits
at once. Without kafka.brokers or redis.addr an embedded, in-memory one is
started. Keys are set by the file, by ITRSTREAM_… variables over it
(ITRSTREAM_KAFKA_GROUP sets kafka.group), and by --set over both.`,
		Example: `  itrstream run -c itrstream.yaml
  itrstream run --set kafka.brokers=127.0.0.1:9092 --set redis.addr=127.0.0.1:6379
  ITRSTREAM_LOG_FORMAT=json itrstream run -c itrstream.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			log := logger(cfg.Log, cmd.ErrOrStderr())
			pipeline.LimitMemory(cfg, log)
			return pipeline.Run(cmd.Context(), cfg, settings(log))
		},
	}
	flags.add(cmd)
	return cmd
}

func demoCommand() *cobra.Command {
	var flags configFlags
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Label sample posts with everything embedded, and show the results",
		Long: `Demo starts an embedded Kafka and Redis, runs the pipeline on sample posts with
the shipped model, prints each result as it comes, and ends with a summary. It
takes the configuration of run, except for brokers, Redis, partitions, batch size
and number of clusters, which are the demo's own. With --dataset, every pair is
collected, too: itrstream dataset looks at what came of it.`,
		Example: `  itrstream demo
  itrstream demo --dataset collected
  itrstream demo --json | tail -n 1 | jq .labels`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The demo is about results: the log only says what goes wrong,
			// unless something else is asked for.
			flags.settings = append([]string{"log.level=warn"}, flags.settings...)
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			o.Out, o.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			o.Settings = settings(logger(cfg.Log, cmd.ErrOrStderr()))
			return demo.Run(cmd.Context(), cfg, o)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print the summary as one JSON object, on the last line")
	cmd.Flags().StringVar(&o.Dataset, "dataset", "", "write a data set of all pairs into this new `folder`")
	return cmd
}

func validateCommand() *cobra.Command {
	var flags configFlags
	var effective bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration, rules included, without connecting to anything",
		Example: `  itrstream validate -c itrstream.yaml
  itrstream validate -c itrstream.yaml --set cluster.k=128
  itrstream validate -c itrstream.yaml --effective`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			calibration := ""
			if cfg.Model.Calibration != "" {
				if _, calibration, err = model.ReadCalibration(cfg.Model.Calibration); err != nil {
					return err
				}
			}
			digest, err := cfg.Digest(calibration)
			if err != nil {
				return err
			}
			if !effective {
				fmt.Fprintf(cmd.OutOrStdout(), "valid; digest of what decides: %s\n", digest)
				return nil
			}
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "# valid; digest of what decides: %s\n%s", digest, text)
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&effective, "effective", false, "print every key with the value that holds, secrets hidden")
	return cmd
}

func topicsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "topics",
		Short:   "Manage the topics of a configuration",
		Example: "  itrstream topics create -c itrstream.yaml",
	}
	var flags configFlags
	create := &cobra.Command{
		Use:   "create",
		Short: "Create the topics that are missing, and check the others",
		Example: `  itrstream topics create -c itrstream.yaml
  itrstream topics create -c itrstream.yaml --set topics.partitions=12 --set topics.replication_factor=3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			if len(cfg.Kafka.Brokers) == 0 {
				return fmt.Errorf("kafka.brokers is empty: name the brokers to create topics on, as in --set kafka.brokers=127.0.0.1:9092")
			}
			client, err := kafka.Dial(cmd.Context(), cfg.Kafka, kafka.Settings{Log: logger(cfg.Log, cmd.ErrOrStderr()), Now: time.Now})
			if err != nil {
				return err
			}
			defer client.Close()
			states, err := pipeline.EnsureTopics(cmd.Context(), client, cfg, true)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, s := range states {
				what := "exists"
				if s.Created {
					what = "created"
				}
				fmt.Fprintf(w, "%s\t%d partitions\t%s\n", s.Name, s.Partitions, what)
			}
			return w.Flush()
		},
	}
	flags.add(create)
	cmd.AddCommand(create)
	return group(cmd)
}

// version is set at build time.
var version = "dev"

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  itrstream version
  itrstream version --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				JPEG    string `json:"jpeg"` // what decodes it
			}{Version: version, JPEG: pixels.JPEGDecoder()}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Go = info.GoVersion
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "itrstream %s (%s, JPEG by %s)\n", v.Version, v.Go, v.JPEG)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
