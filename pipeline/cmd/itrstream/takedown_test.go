package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/pipeline/erasure"
	"github.com/itrstream/itrstream/schemas"
)

// TestTakedownPlans shows what would go, and changes nothing; pipeline/e2e
// executes.
func TestTakedownPlans(t *testing.T) {
	t.Parallel()
	broker, err := embedded.Start(embedded.DefaultConfig())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	dir := t.TempDir()
	address := "file://" + filepath.Join(dir, "dataset")
	set := []string{
		"--set", "kafka.brokers=" + broker.Addrs()[0], "--set", "log.level=warn",
		"--set", "collect.images=file://" + filepath.Join(dir, "images"), "--set", "collect.dataset=" + address,
	}
	call := func(args ...string) (int, string, string) { return call(append(args, set...)...) }
	status, _, errs := call("topics", "create")
	require.Equal(t, 0, status, errs)

	folder, err := dataset.Open(t.Context(), address)
	require.NoError(t, err)
	defer folder.Close()
	chain, err := folder.Begin(t.Context(), schemas.Partition{Topic: "collected"}, "k", 0)
	require.NoError(t, err)
	draft, err := dataset.NewDraft(memory.DefaultAllocator)
	require.NoError(t, err)
	for _, post := range []string{"a", "b", "a"} {
		require.NoError(t, draft.Add(&dataset.Row{Collected: schemas.Collected{PostID: post, ResultID: "0123456789abcdef", Relation: "both"}}))
	}
	e, err := chain.Append(t.Context(), draft, 3, dataset.Entry{}, time.Now())
	require.NoError(t, err)
	require.NoError(t, draft.Discard())

	status, out, errs := call("takedown", "--subject", "a", "--reason", "order 12")
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "Takedown of post a: nothing is changed yet.\nReason: order 12\n")
	require.Regexp(t, `rows +2 +0123456789ab… #0, 0123456789ab… #0\n`, out)
	require.Regexp(t, `shards rewritten +1 +`+e.Shard, out)
	require.Regexp(t, `topic results +results, with the posts' text +7 days after`, out)
	require.Regexp(t, `topic collected +`, out)
	require.Regexp(t, `Redis +not looked at: redis.addr is empty`, out)
	require.Contains(t, out, "With --execute it is taken down.")

	status, out, errs = call("takedown", "--subject", "c", "--json")
	require.Equal(t, 0, status, errs)
	var r erasure.Receipt
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.False(t, r.Executed)
	require.Empty(t, r.Rows)
	require.NotEmpty(t, r.Remains)
	left, err := filepath.Glob(filepath.Join(dir, "dataset", "*"))
	require.NoError(t, err)
	require.Len(t, left, 2, "data and log, as before: %s", left)

	status, _, errs = call("takedown", "--author", "did:plc:x")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "privacy.authors is drop")
	status, _, errs = call("takedown")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "--subject, --author: must be one of the two")
}
