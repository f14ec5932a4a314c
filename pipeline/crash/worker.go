package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/arena"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/stages"
)

// workerCommand runs the pipeline as itrstream run does, and dies at a crash
// point.
func workerCommand() *cobra.Command {
	var settings []string
	var point, hit string
	var pass int64
	cmd := &cobra.Command{
		Use:    "worker",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load("", nil, settings)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			return pipeline.Run(dieAt(ctx, stages.CrashPoint(point), pass, hit), cfg, pipeline.Settings{
				Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Now: time.Now, Alloc: arena.New(),
			})
		},
	}
	cmd.Flags().StringArrayVar(&settings, "set", nil, "key=value of the configuration")
	cmd.Flags().StringVar(&point, "point", "", "crash point to die at")
	cmd.Flags().Int64Var(&pass, "pass", 1, "the how manieth time")
	cmd.Flags().StringVar(&hit, "hit", "", "file to create before dying")
	return cmd
}

// dieAt kills this process when it reaches a point for the nth time. The file
// tells who killed it.
func dieAt(ctx context.Context, point stages.CrashPoint, nth int64, hit string) context.Context {
	var reached atomic.Int64
	return stages.WithCrashes(ctx, func(p stages.CrashPoint) {
		if p != point || reached.Add(1) != nth {
			return
		}
		if err := os.WriteFile(hit, []byte(p), 0o600); err != nil {
			panic(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal has come
	})
}
