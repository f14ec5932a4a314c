package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTheEmbeddedBrokerRevivesAtItsSecondKill is why a run kills it once,
// and stops it in order from then on: what it aborted for a crash is in no log, and the next
// commit of the same producer covers it when all is read again. When this test
// fails, kfake is mended, and may be killed as often as Apache Kafka is.
func TestTheEmbeddedBrokerRevivesAtItsSecondKill(t *testing.T) {
	t.Parallel()
	dir, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	emit(t, dir, first, "torn", false)
	require.Empty(t, visible(t, first), "aborted by the first crash")
	emit(t, first, second, "whole", true)
	require.Equal(t, []string{"torn", "whole"}, visible(t, second))
}

func onFolder(t *testing.T, dir string) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("crash"), kfake.DataDir(dir), kfake.SeedTopics(1, "results"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

// emit writes one record in a transaction to the broker of a folder, ends it
// or not, and copies what a power cut would leave.
func emit(t *testing.T, dir, left, value string, commit bool) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(onFolder(t, dir)...), kgo.TransactionalID("group/posts/0"), kgo.DefaultProduceTopic("results"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.BeginTransaction())
	require.NoError(t, c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
	if commit {
		require.NoError(t, c.EndTransaction(t.Context(), kgo.TryCommit))
	}
	require.NoError(t, os.CopyFS(left, os.DirFS(dir)))
}

// visible is what a committed reader sees.
func visible(t *testing.T, dir string) []string {
	t.Helper()
	whole := t.TempDir()
	require.NoError(t, os.CopyFS(whole, os.DirFS(dir)))
	c, err := kgo.NewClient(kgo.SeedBrokers(onFolder(t, whole)...), kgo.ConsumeTopics("results"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var values []string
	for ctx.Err() == nil {
		for _, r := range c.PollFetches(ctx).Records() {
			values = append(values, string(r.Value))
		}
	}
	return values
}
