package main

import (
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/arena"
	"github.com/itrstream/itrstream/pipeline/config"
)

// configFlags are how every command is told its configuration.
type configFlags struct {
	file     string
	settings []string
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "YAML `file` with the configuration")
	cmd.Flags().StringArrayVar(&f.settings, "set", nil, "set one `key=value`, over the file and the environment (repeat)")
}

func (f *configFlags) load() (config.Config, error) {
	return config.Load(f.file, config.Environ(), f.settings)
}

func logger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // a valid configuration has no other
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func settings(log *slog.Logger) pipeline.Settings {
	return pipeline.Settings{Log: log, Now: time.Now, Alloc: arena.New(), Version: version}
}
