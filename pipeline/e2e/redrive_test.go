package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/pipeline/redrive"
	"github.com/itrstream/itrstream/schemas"
)

// redriven sends posts, some of which nobody can read, and sends their dead
// letters back until they have had their attempts: what comes back is what was
// sent, by its hash, and each dead letter knows its attempt.
func redriven(t *testing.T, s services) {
	t.Helper()
	cfg := configure(t, s, tinyBundle)
	o := observe(t, s)
	w := start(t, cfg)
	o.produce(oracle.NewWriter(8).Many(120)...)
	var dead []string // hashes of the records that become dead letters
	headers := map[string][][2]string{}
	for _, in := range o.sent {
		if in.Outcome == schemas.OutcomeDeadLetter {
			dead = append(dead, hash(in.Key, in.Value))
			headers[dead[len(dead)-1]] = in.Headers
		}
	}
	slices.Sort(dead)
	require.NotEmpty(t, dead)

	next := follow(t, s, kgo.ReadCommitted(), "deadletter")
	letters := map[string]int{} // by attempt
	until := func(attempt string) {
		t.Helper()
		for deadline := time.Now().Add(patience); letters[attempt] < len(dead); {
			require.True(t, time.Now().Before(deadline), "%d of %d dead letters of attempt %q", letters[attempt], len(dead), attempt)
			for _, r := range next() {
				if header(r, schemas.HeaderSourceTopic) != "" {
					letters[header(r, schemas.HeaderRedriveAttempt)]++
				}
			}
		}
	}
	until("")
	for _, attempt := range []string{"1", "2"} {
		require.Equal(t, len(dead), sendBack(t, cfg))
		until(attempt)
	}
	require.Zero(t, sendBack(t, cfg), "they have had their attempts")
	w.end(t)
	require.Equal(t, map[string]int{"": len(dead), "1": len(dead), "2": len(dead)}, letters)

	back := map[string][]string{}
	all := follow(t, s, kgo.ReadCommitted(), "posts")
	deadline := time.Now().Add(patience)
	for seen, want := 0, len(o.sent)+2*len(dead); seen < want; {
		require.True(t, time.Now().Before(deadline), "%d of %d posts", seen, want)
		for _, r := range all() {
			seen++
			if attempt := header(r, schemas.HeaderRedriveAttempt); attempt != "" {
				id := hash(r.Key, r.Value)
				back[attempt] = append(back[attempt], id)
				require.Len(t, r.Headers, len(headers[id])+1+2, "the input's own headers, the oracle's, and two of redrive")
				for i, h := range headers[id] {
					require.Equal(t, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])}, r.Headers[i])
				}
			}
		}
	}
	for _, hashes := range back {
		slices.Sort(hashes)
	}
	require.Equal(t, map[string][]string{"1": dead, "2": dead}, back)
}

func hash(key, value []byte) string {
	h := sha256.New()
	h.Write(key)
	h.Write([]byte{0})
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil))
}

func sendBack(t *testing.T, cfg config.Config) int {
	t.Helper()
	r, err := redrive.Open(t.Context(), cfg, redrive.Options{MaxAttempts: 2}, redrive.Settings{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
	})
	require.NoError(t, err)
	defer r.Close()
	_, sent, err := r.Execute(t.Context())
	require.NoError(t, err)
	return sent
}

func TestRedriveEmbedded(t *testing.T) { redriven(t, embeddedServices(t)) }
func TestRealRedrive(t *testing.T)     { redriven(t, realServices(t)) }
