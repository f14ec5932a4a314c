package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/schemas"
)

func TestRedrive(t *testing.T) {
	t.Parallel()
	broker, err := embedded.Start(embedded.DefaultConfig())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	set := []string{"--set", "kafka.brokers=" + broker.Addrs()[0], "--set", "kafka.fetch_max_wait=20ms", "--set", "log.level=warn"}
	call := func(args ...string) (int, string, string) { return call(append(args, set...)...) }
	status, _, errs := call("topics", "create")
	require.Equal(t, 0, status, errs)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for i, reason := range []string{"malformed", "media_failed", "media_failed"} {
		r := &kgo.Record{Topic: "deadletter", Value: []byte{byte(i)}}
		for _, h := range [][2]string{
			{schemas.HeaderReason, reason},
			{schemas.HeaderDetail, "why"},
			{schemas.HeaderStage, "media"},
			{schemas.HeaderSourceTopic, "posts"},
			{schemas.HeaderSourcePartition, "0"},
			{schemas.HeaderSourceOffset, string(rune('0' + i))},
		} {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}

	status, out, errs := call("redrive", "--reason", "media_failed")
	require.Equal(t, 0, status, errs)
	require.Regexp(t, `media_failed +media +posts +2\n`, out)
	require.NotContains(t, out, "malformed")
	require.Contains(t, out, "The filters leave 1 record out.")
	require.Contains(t, out, "Nothing was sent. With --execute, 2 records would go back.")

	status, out, errs = call("redrive", "--reason", "media_failed", "--execute")
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "2 records of 2 sent back.")

	status, out, errs = call("redrive", "--json", "--since", "1h")
	require.Equal(t, 0, status, errs)
	var plan map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &plan))
	require.InDelta(t, 1, plan["to_send"], 0)
	require.InDelta(t, 2, plan["redriven"], 0)
	require.Equal(t, false, plan["executed"])

	status, out, errs = call("redrive", "--until", "1h", "--execute", "--json")
	require.Equal(t, 0, status, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &plan))
	require.InDelta(t, 0, plan["sent"], 0)
	require.InDelta(t, 3, plan["left_out"], 0)

	for _, bad := range [][]string{{"--since", "yesterday"}, {"--max-attempts", "0"}} {
		status, _, errs = call(append([]string{"redrive"}, bad...)...)
		require.Equal(t, 1, status)
		require.Contains(t, errs, bad[0])
	}
}
