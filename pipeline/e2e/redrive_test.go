package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/redrive"
	"github.com/itrstream/itrstream/schemas"
)

// redriven sends posts, some of which nobody can read, and sends their dead
// letters back until they have had their attempts: what comes back is what was
// sent, by its hash, and each dead letter knows its attempt.
func redriven(t *testing.T, s services) {
	t.Helper()
	cfg := configure(t, s, tinyBundle)
	o := newOracle(t, s.brokers, "posts")
	w := start(t, cfg)
	o.produce(newWriter(t, 8).many(120)...)
	var dead []string // hashes of the records that become dead letters
	for _, in := range o.sent {
		if in.outcome == schemas.OutcomeDeadLetter {
			dead = append(dead, hash(in.key, in.value))
		}
	}
	slices.Sort(dead)
	require.NotEmpty(t, dead)

	next := follow(t, s, "deadletter")
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
	all := follow(t, s, "posts")
	deadline := time.Now().Add(patience)
	for seen, want := 0, len(o.sent)+2*len(dead); seen < want; {
		require.True(t, time.Now().Before(deadline), "%d of %d posts", seen, want)
		for _, r := range all() {
			seen++
			if attempt := header(r, schemas.HeaderRedriveAttempt); attempt != "" {
				back[attempt] = append(back[attempt], hash(r.Key, r.Value))
				require.Equal(t, o.original(r), r.Headers[:len(r.Headers)-2], "the input's own headers")
			}
		}
	}
	for _, hashes := range back {
		slices.Sort(hashes)
	}
	require.Equal(t, map[string][]string{"1": dead, "2": dead}, back)
}

// follow returns what reads on in topics.
func follow(t *testing.T, s services, topics ...string) func() []*kgo.Record {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return func() []*kgo.Record {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return c.PollFetches(ctx).Records()
	}
}

func hash(key, value []byte) string {
	h := sha256.New()
	h.Write(key)
	h.Write([]byte{0})
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil))
}

// original returns the headers that were produced with a record's bytes.
func (o *oracle) original(r *kgo.Record) []kgo.RecordHeader {
	for _, in := range o.sent {
		if slices.Equal(in.value, r.Value) {
			var headers []kgo.RecordHeader
			for k, v := range in.headers {
				headers = append(headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
			}
			return headers
		}
	}
	return nil
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
