package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/config"
)

// k and bootstrap of the clustering, of peers, too: small enough for the
// first centroids to be there when the measured time begins.
const (
	clusters  = 64
	bootstrap = 128
)

// ours is the pipeline at its default configuration, as a process of its own.
func (b *bench) ours(delivery string, extra ...string) worker {
	return worker{name: "itrstream-" + delivery, processes: 1, command: func(n names) ([]string, string, []string) {
		args := []string{"worker"}
		for _, s := range append([]string{
			"kafka.brokers=" + n.brokers, "redis.addr=" + n.redis, "kafka.group=" + n.group, "kafka.delivery=" + delivery,
			"topics.posts=" + n.posts, "topics.results=" + n.results, "topics.moderation=" + n.results + "-moderation",
			"topics.review=" + n.results + "-review", "topics.clusters=" + n.results + "-clusters", "topics.deadletter=" + n.results + "-dead",
			"topics.partitions=4", "topics.replication_factor=1",
			"model.bundle=" + b.bundle, "model.device=" + b.device, fmt.Sprintf("cluster.k=%d", clusters), fmt.Sprintf("cluster.bootstrap=%d", bootstrap),
			"ops.addr=", "log.level=warn",
		}, extra...) {
			args = append(args, "--set", s)
		}
		if b.profile != "" && delivery == kafka.ExactlyOnce {
			args = append(args, "--profile", b.profile)
		}
		return nil, b.self, args
	}}
}

// workerCommand runs the pipeline as itrstream run does.
func workerCommand() *cobra.Command {
	var settings []string
	var profile string
	cmd := &cobra.Command{
		Use:    "worker",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load("", nil, settings)
			if err != nil {
				return err
			}
			run := func(ctx context.Context) error {
				return pipeline.Run(ctx, cfg, pipeline.Settings{
					Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Now: time.Now, Alloc: memory.DefaultAllocator,
				})
			}
			if profile == "" {
				return run(cmd.Context())
			}
			return profiled(cmd.Context(), profile, run)
		},
	}
	cmd.Flags().StringArrayVar(&settings, "set", nil, "key=value of the configuration")
	cmd.Flags().StringVar(&profile, "profile", "", "file for a CPU profile")
	return cmd
}

// profiled takes a CPU profile of run.
func profiled(ctx context.Context, path string, run func(context.Context) error) (err error) {
	file, err := os.Create(path) //nolint:gosec // the user's own choice
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return run(ctx)
}
