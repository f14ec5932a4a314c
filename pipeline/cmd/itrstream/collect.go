package main

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline/collector"
)

func collectCommand() *cobra.Command {
	var flags configFlags
	var untilIdle bool
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "Write the pairs that the pipeline selects into a data set of Parquet shards",
		Long: `Collect reads the collected topic, as a member of the consumer group
<kafka.group>-collect, and writes what it holds into the folder or bucket
collect.dataset: Parquet shards with their images, by Hugging Face's
conventions, a manifest, and a data set card. Near duplicates are left out, and
so is what was taken down.

A shard ends after collect.shard_rows, collect.shard_bytes or
collect.shard_every, or with the day. Each record becomes a row once, whatever
crashes, and however many collectors run: the data set's own log says what it
holds, Kafka's committed offset counts for nothing. Ctrl-C or SIGTERM ends the
open shards; a second one exits at once, and their records are read again.`,
		Example: `  itrstream collect -c itrstream.yaml
  itrstream collect -c itrstream.yaml --set collect.dataset=s3://my-data --set collect.shard_every=1h
  itrstream collect -c itrstream.yaml --until-idle    collect what is there, and end: for cron`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			return collector.Run(cmd.Context(), cfg, collector.Settings{
				Log: logger(cfg.Log, cmd.ErrOrStderr()), Now: time.Now, Alloc: memory.DefaultAllocator, Version: version, UntilIdle: untilIdle,
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&untilIdle, "until-idle", false, "end once everything is collected that the topic held at the start")
	return cmd
}
