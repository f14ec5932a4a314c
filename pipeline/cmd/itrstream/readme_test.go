package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/demo/assets"
	"github.com/itrstream/itrstream/schemas"
)

// blocksOf are the blocks of one language in a section of README.md.
func blocksOf(t *testing.T, section, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "\n## "+section+"\n")
	require.True(t, ok, "README.md has no section %s", section)
	rest, _, _ = strings.Cut(rest, "\n## ")
	var blocks []string
	for _, part := range strings.Split(rest, "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, block)
	}
	return blocks
}

// TestReadmeCollects runs the README's commands for collecting: those on sample posts as they stand, those on Kafka with the
// configuration beside them, on embedded services.
func TestReadmeCollects(t *testing.T) {
	commands, configuration := blocksOf(t, "Collect", "sh"), blocksOf(t, "Collect", "yaml")
	require.Len(t, commands, 2)
	require.Len(t, configuration, 1)
	models, err := filepath.Abs(bundle)
	require.NoError(t, err)
	t.Setenv("ITRSTREAM_MODEL_BUNDLE", models)
	t.Setenv("ITRSTREAM_OPS_ADDR", "")
	t.Chdir(t.TempDir())

	out := execute(t, commands[0])
	require.Contains(t, out, "data set: ")
	require.Contains(t, out, " 0 faults")
	require.FileExists(t, "sample.png")

	text := strings.ReplaceAll(configuration[0], "s3://our-images?region=eu-central-1", "file://"+t.TempDir())
	text = strings.ReplaceAll(text, "s3://our-pairs?region=eu-central-1", "file://"+t.TempDir())
	require.NotContains(t, text, "s3://")
	require.NoError(t, os.WriteFile("itrstream.yaml", []byte(text), 0o600))
	chooseFew(t, "itrstream.yaml")
	out = execute(t, commands[1])
	require.Contains(t, out, "execute", "the takedown only shows")
}

// execute runs the commands of a block in this process, and returns what they print.
func execute(t *testing.T, block string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, "#")
		args := strings.Fields(line)
		require.Equal(t, "bin/itrstream", args[0])
		status, out, errs := call(args[1:]...)
		require.Equal(t, 0, status, "%s: %s", line, errs)
		all.WriteString(out)
	}
	return all.String()
}

// chooseFew has a pipeline of this configuration label and choose a few posts, on embedded services that stay for the test.
func chooseFew(t *testing.T, file string) {
	t.Helper()
	cfg, err := config.Load(file, config.Environ(), nil)
	require.NoError(t, err)
	services, err := pipeline.StartEmbedded(&cfg)
	require.NoError(t, err)
	t.Cleanup(services.Close)
	t.Setenv("ITRSTREAM_KAFKA_BROKERS", strings.Join(cfg.Kafka.Brokers, ","))
	t.Setenv("ITRSTREAM_REDIS_ADDR", cfg.Redis.Addr)
	cfg.Collect.Rate = 1

	log := logger(cfg.Log, t.Output())
	client, err := kafka.Dial(t.Context(), cfg.Kafka, kafka.Settings{Log: log, Now: time.Now})
	require.NoError(t, err)
	defer client.Close()
	topics, err := pipeline.EnsureTopics(t.Context(), client, cfg, true)
	require.NoError(t, err)
	var chosen []schemas.Partition
	for _, topic := range topics {
		for p := range topic.Partitions {
			if topic.Name == cfg.Topics.Collected {
				chosen = append(chosen, schemas.Partition{Topic: topic.Name, ID: int32(p)})
			}
		}
	}
	posts, err := assets.Posts()
	require.NoError(t, err)
	const few = 12
	for _, p := range posts[:few] {
		record := kafka.Record{Topic: cfg.Topics.Posts[0], Partition: kafka.ByKey, Key: p.Key, Value: p.Value, Time: time.Now()}
		require.NoError(t, client.Produce(t.Context(), []kafka.Record{record}))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- pipeline.Run(ctx, cfg, pipeline.Settings{Log: log, Now: time.Now, Alloc: memory.DefaultAllocator})
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for pairs := int64(0); pairs < few/2; {
		select {
		case err := <-ended:
			require.NoError(t, err)
			require.Fail(t, "the pipeline has ended")
		case <-tick.C:
		}
		ends, err := client.Ends(t.Context(), chosen)
		require.NoError(t, err)
		pairs = 0
		for _, end := range ends {
			pairs += end
		}
	}
	stop()
	require.NoError(t, <-ended)
}
