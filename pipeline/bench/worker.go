package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/metrics"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/arena"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/stages"
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
		return nil, b.self, args
	}}
}

// workerCommand runs the pipeline as itrstream run does.
func workerCommand() *cobra.Command {
	var settings []string
	var profile, stats string
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
					Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Now: time.Now, Alloc: arena.New(),
				})
			}
			if stats != "" {
				go keepStats(cmd.Context(), stats)
			}
			if profile == "" {
				return run(cmd.Context())
			}
			ctx, end := context.WithCancel(cmd.Context())
			profiled := make(chan error, 1)
			go func() { profiled <- takeProfile(ctx, profile) }()
			err = run(cmd.Context())
			end()
			return errors.Join(err, <-profiled)
		},
	}
	cmd.Flags().StringArrayVar(&settings, "set", nil, "key=value of the configuration")
	cmd.Flags().StringVar(&profile, "profile", "", "`file` for a CPU profile, from SIGUSR1 to SIGUSR2")
	cmd.Flags().StringVar(&stats, "stats", "", "`file` for what the program knows of itself, again and again")
	return cmd
}

// What tells a worker to begin its profile, and to end it.
const (
	profileBegins = syscall.SIGUSR1
	profileEnds   = syscall.SIGUSR2
)

// takeProfile takes a CPU profile of the time between two signals.
func takeProfile(ctx context.Context, path string) (err error) {
	begins, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(begins, profileBegins)
	signal.Notify(ends, profileEnds)
	select {
	case <-begins:
	case <-ctx.Done():
		return nil
	}
	file, err := os.Create(path) //nolint:gosec // the user's own choice
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	select {
	case <-ends:
	case <-ctx.Done():
	}
	return nil
}

// stats is what a program knows of itself.
type stats struct{ HeapMB, Goroutines float64 }

// keepStats writes them until ctx ends. Who reads them notices when it cannot.
func keepStats(ctx context.Context, path string) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	for ; ctx.Err() == nil; _ = stages.Sleep(ctx, time.Second) {
		metrics.Read(samples)
		text, err := json.Marshal(stats{HeapMB: float64(samples[0].Value.Uint64()) / (1 << 20), Goroutines: float64(samples[1].Value.Uint64())})
		if err == nil && os.WriteFile(path+".part", text, 0o600) == nil {
			_ = os.Rename(path+".part", path)
		}
	}
}

func readStats(path string) (s stats, err error) {
	text, err := os.ReadFile(path) //nolint:gosec // our own folder
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}
