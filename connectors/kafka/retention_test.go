package kafka_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
)

func TestTopicRetention(t *testing.T) {
	t.Parallel()
	c := dial(t, config(broker(t)))
	for name, want := range map[string]struct {
		configs [][2]string
		kafka.Retention
	}{
		"default": {nil, kafka.Retention{Age: 7 * 24 * time.Hour, Deleted: true}},
		"day":     {[][2]string{{"retention.ms", "86400000"}, {"retention.bytes", "1000000"}}, kafka.Retention{Age: 24 * time.Hour, Bytes: 1_000_000, Deleted: true}},
		"ever":    {[][2]string{{"retention.ms", "-1"}}, kafka.Retention{Deleted: true}},
		"compact": {[][2]string{{"cleanup.policy", "compact"}}, kafka.Retention{Age: 7 * 24 * time.Hour, Compacted: true}},
		"both":    {[][2]string{{"cleanup.policy", "compact,delete"}}, kafka.Retention{Age: 7 * 24 * time.Hour, Compacted: true, Deleted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: name, Partitions: 1, Configs: want.configs}}, true)
			require.NoError(t, err)
			got, ok, err := c.TopicRetention(t.Context(), name)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, want.Retention, got)
		})
	}
	_, ok, err := c.TopicRetention(t.Context(), "none")
	require.NoError(t, err)
	require.False(t, ok)
}
