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

// TestMend crashes a broker with a transaction open, and again after two that
// were committed. When it passes without mend, kfake needs none any more.
func TestMend(t *testing.T) {
	t.Parallel()
	dir, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	emit(t, onFolder(t, dir), "torn", false)
	require.NoError(t, os.CopyFS(first, os.DirFS(dir))) // what a kill leaves
	addr := onFolder(t, first)
	require.NoError(t, mend(t.Context(), addr))
	emit(t, addr, "whole", true)
	emit(t, addr, "another", true)
	require.Equal(t, []string{"whole", "another"}, visible(t, addr))

	require.NoError(t, os.CopyFS(second, os.DirFS(first)))
	addr = onFolder(t, second)
	require.NoError(t, mend(t.Context(), addr))
	require.Equal(t, []string{"whole", "another"}, visible(t, addr))
}

// onFolder starts a broker on what lies in a folder.
func onFolder(t *testing.T, dir string) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("crash"), kfake.DataDir(dir), kfake.SeedTopics(1, "results"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// emit writes one record in a transaction, and ends it or not.
func emit(t *testing.T, addr, value string, commit bool) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID("group/posts/0"), kgo.DefaultProduceTopic("results"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.BeginTransaction())
	require.NoError(t, c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
	if commit {
		require.NoError(t, c.EndTransaction(t.Context(), kgo.TryCommit))
	}
}

// visible is what a committed reader sees.
func visible(t *testing.T, addr string) []string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("results"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
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
