package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
)

// TestRealKcat does what a user would: topics create, run, a post produced
// with kcat, its result consumed with kcat, Ctrl-C.
func TestRealKcat(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	require.NoError(t, err, "kcat is needed: apt-get install kcat")
	s := realServices(t)
	binary := filepath.Join(t.TempDir(), "itrstream")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/itrstream").CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(t.TempDir(), "itrstream.yaml")
	bundle, err := filepath.Abs(shippedBundle)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(`
kafka:
  brokers: [`+s.brokers[0]+`]
  fetch_max_wait: 50ms
redis:
  addr: `+s.redis+`
model:
  bundle: `+bundle+`
topics:
  create: false
ops:
  addr: ""
`), 0o600))

	missing, err := exec.CommandContext(t.Context(), binary, "run", "-c", file).CombinedOutput()
	require.Error(t, err, "topics are missing and may not be created")
	require.Contains(t, string(missing), "posts")

	created, err := exec.CommandContext(t.Context(), binary, "topics", "create", "-c", file, "--set", "topics.partitions=2").CombinedOutput()
	require.NoError(t, err, string(created))
	require.Contains(t, string(created), "deadletter")

	worker := exec.CommandContext(t.Context(), binary, "run", "-c", file)
	var log bytes.Buffer
	worker.Stderr = &log
	require.NoError(t, worker.Start())

	post, err := json.Marshal(map[string]any{
		"schema": "post.v1", "post_id": "from-kcat", "text": "A red square on white",
		"media": []map[string]string{{"data": base64.StdEncoding.EncodeToString(oracle.NewWriter(6).Image(0))}},
	})
	require.NoError(t, err)
	produce := exec.CommandContext(t.Context(), kcat, "-b", s.brokers[0], "-t", "posts", "-P", "-k", "author-1")
	produce.Stdin = bytes.NewReader(post)
	out, err = produce.CombinedOutput()
	require.NoError(t, err, string(out))

	var result schemas.Result
	require.Eventually(t, func() bool {
		out, err := exec.CommandContext(t.Context(), kcat, "-b", s.brokers[0], "-t", "results", "-C", "-e", "-q", "-f", "%k\t%s\n").Output()
		key, value, found := strings.Cut(strings.TrimSpace(string(out)), "\t")
		return err == nil && found && key == "from-kcat" && json.Unmarshal([]byte(value), &result) == nil
	}, time.Minute, 200*time.Millisecond, log.String())
	require.Equal(t, "from-kcat", result.PostID)
	require.Contains(t, schemas.RelationNames(), result.Relation)
	require.Equal(t, "itr-mini", result.Model.Name)

	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), log.String())
	require.Contains(t, log.String(), "finishing what is in flight")
}
