package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

// observer is the oracle in a test: what it finds wrong fails the test.
type observer struct {
	*oracle.Oracle
	t    *testing.T
	s    services
	sent []*oracle.Post
}

func observe(t *testing.T, s services) *observer {
	t.Helper()
	o, err := oracle.New(t.Context(), s.brokers, oracle.DefaultTopics)
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return &observer{Oracle: o, t: t, s: s}
}

// produce sends the posts in order.
func (o *observer) produce(posts ...*oracle.Post) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	require.NoError(o.t, o.Produce(ctx, posts...))
	o.sent = append(o.sent, posts...)
}

// wait reads until every input has an outcome, and for a moment more, for
// outcomes that should not be there.
func (o *observer) wait() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	for {
		require.NoError(o.t, o.Settle(ctx))
		if o.Inputs() >= len(o.sent) {
			return
		}
	}
}

// emitted is how many inputs have an outcome, as far as was read by now.
func (o *observer) emitted() int {
	o.t.Helper()
	_, err := o.Poll(o.t.Context())
	require.NoError(o.t, err)
	return o.Outcomes()
}

// judge holds everything that came out against what was sent, and the
// centroids of cfg against both. It returns these.
func (o *observer) judge(cfg config.Config, rules oracle.Rules) oracle.Centroids {
	o.t.Helper()
	for before := -1; before < o.Outcomes(); { // what came after the wait
		before = o.Outcomes()
		o.emitted()
	}
	c := o.centroids(cfg)
	o.right(o.Judge(&c, rules))
	return c
}

func (o *observer) right(v oracle.Verdict) {
	o.t.Helper()
	require.True(o.t, v.Right(), "%s\n%s", &v, strings.Join(v.Details, "\n"))
	require.Equal(o.t, len(o.sent), v.Inputs)
}

// centroids reads what Redis counts for a configuration.
func (o *observer) centroids(cfg config.Config) oracle.Centroids {
	o.t.Helper()
	manifest, err := os.ReadFile(filepath.Join(cfg.Model.Bundle, model.ManifestFile))
	require.NoError(o.t, err)
	c, err := oracle.ReadCentroids(o.t.Context(), o.s.redis, cfg.Namespace(), fmt.Sprintf("%x", sha256.Sum256(manifest)))
	require.NoError(o.t, err)
	return c
}

// folded is how many pairs were sent that the centroids must count.
func (o *observer) folded() uint64 {
	count, _ := o.Folded()
	return count
}

// made says that the first centroids were made, and that there are as many as
// settingsOf asks for.
func made(t *testing.T, c oracle.Centroids) {
	t.Helper()
	require.Len(t, c.Live, 8)
	require.Zero(t, c.Sampled)
}

// client is for what no worker and no oracle does.
func client(t testing.TB, s services, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.brokers...), kgo.MetadataMinAge(50 * time.Millisecond)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func admin(t *testing.T, s services) *kadm.Client {
	t.Helper()
	return kadm.NewClient(client(t, s))
}

// follow returns what reads on in topics.
func follow(t *testing.T, s services, isolation kgo.IsolationLevel, topics ...string) func() []*kgo.Record {
	t.Helper()
	c := client(t, s, kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(isolation),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	return func() []*kgo.Record {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return c.PollFetches(ctx).Records()
	}
}

// count is how many records the results and dead-letter topics show.
func count(t *testing.T, s services, isolation kgo.IsolationLevel) int {
	t.Helper()
	next := follow(t, s, isolation, "results", "deadletter")
	n := 0
	for calm := 0; calm < 5; calm++ {
		if got := len(next()); got > 0 {
			n += got
			calm = 0
		}
	}
	return n
}

// empty makes Redis forget everything.
func empty(t *testing.T, s services) {
	t.Helper()
	raw := goredis.NewClient(&goredis.Options{Addr: s.redis})
	defer func() { require.NoError(t, raw.Close()) }()
	require.NoError(t, raw.FlushAll(t.Context()).Err())
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
