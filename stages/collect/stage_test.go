package collect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/collect"
)

var meta = schemas.ResultMeta{KafkaCluster: "cluster-a"}

// pair is one pair of a test post.
type pair struct {
	Confidence float64
	Novel      bool
	Failed     bool
}

// post is one test post; the fields are columns of Posts.
type post struct {
	Fields string // further members of its JSON row
	Op     schemas.Op
	Pairs  []pair
}

// batch is what collect sees of posts.
func batch(tb testing.TB, alloc memory.Allocator, posts ...post) *schemas.Batch {
	tb.Helper()
	var rows, pairs, failures, scores, clusters []string
	for i, p := range posts {
		if p.Op == "" {
			p.Op = schemas.OpCreate
		}
		rows = append(rows, fmt.Sprintf(`{"post_op":%q,"post_id":"p%d","post_text":"words"%s}`, p.Op, i, p.Fields))
		for j, q := range p.Pairs {
			pairs = append(pairs, fmt.Sprintf(`{"pair_post":%d,"pair_index":%d}`, i, j))
			if q.Failed {
				failures, scores, clusters = append(failures, `{"pair_failure":"corrupt"}`), append(scores, `{}`), append(clusters, `{}`)
				continue
			}
			failures = append(failures, `{}`)
			rest := (1 - q.Confidence) / 3
			scores = append(scores, fmt.Sprintf(`{"pair_scores":[%v,%v,%v,%v],"pair_text_is_represented":0.5,"pair_image_adds":0.5,"pair_similarity":0.1,"pair_embedding":[1]}`,
				rest, rest, q.Confidence, rest))
			clusters = append(clusters, fmt.Sprintf(`{"pair_cluster":"c1","pair_cluster_status":"assigned","pair_novelty":%t}`, q.Novel))
		}
	}
	b := schematest.Decoded(tb, alloc, rows, pairs)
	schematest.AddPairs(tb, alloc, b, schemas.MediaFields(1)[2:], failures...)
	schematest.AddPairs(tb, alloc, b, schemas.InferFields(1), scores...)
	schematest.AddPairs(tb, alloc, b, schemas.ClusterFields(), clusters...)
	return b
}

func stage(tb testing.TB, cfg collect.Config, alloc memory.Allocator, metrics *collect.Metrics) *collect.Stage {
	tb.Helper()
	s, err := collect.New(cfg, collect.Settings{Meta: meta, Alloc: alloc, Log: slog.New(slog.DiscardHandler), Metrics: metrics})
	require.NoError(tb, err)
	return s
}

// choose runs the stage over posts and returns each pair's choice, "" for none.
func choose(tb testing.TB, cfg collect.Config, posts ...post) []schemas.Selected {
	tb.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(tb, 0)
	b := batch(tb, mem, posts...)
	defer b.Release()
	s := stage(tb, cfg, mem, nil)
	candidate := make([]bool, b.Pairs().NumRows())
	for row := range candidate {
		candidate[row] = s.Candidate(b, row)
	}
	require.NoError(tb, s.Process(tb.Context(), b))
	require.NoError(tb, s.Process(tb.Context(), b), "a second run replaces the first")
	out := make([]schemas.Selected, len(candidate))
	for row := range out {
		var chosen bool
		out[row], chosen = schemas.SelectedAt(b, row)
		require.False(tb, chosen && !candidate[row], "what is chosen must have been held")
	}
	return out
}

// all takes everything that may be taken.
var all = collect.Config{Rate: 1}

func TestNeverChosen(t *testing.T) {
	t.Parallel()
	one := []pair{{Confidence: 0.9}}
	got := choose(t, all,
		post{Pairs: []pair{{Confidence: 0.9}, {Failed: true}, {Confidence: 0.4, Novel: true}}},
		post{Pairs: one, Fields: `,"post_sensitive":true`},
		post{Pairs: one, Fields: `,"post_sensitive":false`},
		post{Pairs: one, Fields: `,"post_opt_outs":["noai"]`},
		post{Pairs: one, Fields: `,"post_opt_outs":[]`},
		post{Pairs: one, Op: schemas.OpDelete},
		post{Op: schemas.OpCreate},
		post{Pairs: one, Op: schemas.OpUpdate},
	)
	var chosen []bool
	for _, s := range got {
		chosen = append(chosen, s.Reason != "")
	}
	require.Equal(t, []bool{true, false, true, false, true, false, true, false, true}, chosen)

	cfg := all
	cfg.IncludeSensitive = true
	got = choose(t, cfg, post{Pairs: one, Fields: `,"post_sensitive":true`}, post{Pairs: one, Fields: `,"post_sensitive":true,"post_opt_outs":["tdm"]`})
	require.Equal(t, "rate", got[0].Reason)
	require.Empty(t, got[1].Reason, "an opt-out is no matter of taste")
}

func TestProbabilityAndReason(t *testing.T) {
	t.Parallel()
	cfg := collect.Config{
		Rate: 1. / 64, LowConfidenceWeight: 4, NoveltyWeight: 8,
		Rates: []collect.Rate{{Source: "reddit", Rate: 1. / 32}, {Lang: "pt", Rate: 1. / 16}, {Source: "reddit", Lang: "de", Rate: 1}},
		Keep: []collect.Rule{
			{Name: "fails", When: `result.pairs[9].confidence > 0.0`},
			{Name: "sure", When: `pair.confidence > 0.95 && result.source == "bluesky"`},
		},
	}
	for _, c := range []struct {
		post string
		pair pair
		want schemas.Selected
	}{
		{``, pair{Confidence: 1}, schemas.Selected{Reason: "rate", Probability: 1. / 64}},
		{``, pair{Confidence: 0.875}, schemas.Selected{Reason: "rate", Probability: 1.5 / 64}},
		{``, pair{Confidence: 0.5}, schemas.Selected{Reason: "low_confidence", Probability: 3. / 64}},
		{``, pair{Confidence: 0.5, Novel: true}, schemas.Selected{Reason: "novel", Probability: 11. / 64}},
		{`,"post_source":"reddit","post_langs":["de"]`, pair{Confidence: 1}, schemas.Selected{Reason: "rate", Probability: 1. / 32}},
		{`,"post_source":"x","post_langs":["en","PT-br"]`, pair{Confidence: 1}, schemas.Selected{Reason: "rate", Probability: 1. / 16}},
		{`,"post_langs":["ptx"]`, pair{Confidence: 1}, schemas.Selected{Reason: "rate", Probability: 1. / 64}},
		{`,"post_langs":["pt"]`, pair{Confidence: 0.5, Novel: true}, schemas.Selected{Reason: "novel", Probability: 11. / 16}},
		{`,"post_source":"bluesky"`, pair{Confidence: 0.96875}, schemas.Selected{Reason: "rule:sure", Probability: 1}},
	} {
		// Of many posts some are chosen, whatever the probability.
		posts := make([]post, 600)
		for i := range posts {
			posts[i] = post{Fields: c.post, Pairs: []pair{c.pair}}
		}
		seen := 0
		for _, got := range choose(t, cfg, posts...) {
			if got.Reason != "" {
				seen++
				assert.Equal(t, c.want.Reason, got.Reason)
				assert.InDelta(t, c.want.Probability, got.Probability, 1e-6, "%+v", c) // scores are float32
			}
		}
		sigma := math.Sqrt(600 * c.want.Probability * (1 - c.want.Probability))
		assert.InDelta(t, 600*c.want.Probability, seen, 4*sigma, "%+v", c)
	}
	require.Equal(t, 1., choose(t, collect.Config{Rate: 1, NoveltyWeight: 4}, post{Pairs: []pair{{Confidence: 1, Novel: true}}})[0].Probability)
}

// What is chosen depends on the result's id and the pair alone: not on the
// batch, its size, or how often it is asked.
func TestReplayChoosesTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := collect.DefaultConfig()
		cfg.Rate = rapid.Float64Range(0.05, 1).Draw(rt, "rate")
		posts := make([]post, rapid.IntRange(1, 12).Draw(rt, "posts"))
		for i := range posts {
			for range rapid.IntRange(0, 3).Draw(rt, "pairs") {
				posts[i].Pairs = append(posts[i].Pairs, pair{
					Confidence: rapid.Float64Range(0.25, 1).Draw(rt, "confidence"),
					Novel:      rapid.Bool().Draw(rt, "novel"), Failed: rapid.Bool().Draw(rt, "failed"),
				})
			}
		}
		whole := choose(t, cfg, posts...)
		cut := rapid.IntRange(0, len(posts)).Draw(rt, "cut")
		// The same offsets in a shorter batch: posts behind the cut are gone.
		short := choose(t, cfg, posts[:cut]...)
		require.Equal(rt, whole[:len(short)], short)

		// Who raises the rate keeps what was chosen before.
		more := cfg
		more.Rate = min(1, cfg.Rate*1.5)
		for row, s := range choose(t, more, posts...) {
			require.False(rt, whole[row].Reason != "" && s.Reason == "")
		}
	})
}

// The share that is chosen is the probability, in each stratum: so weighing
// by 1/probability brings back the stream.
func TestShares(t *testing.T) {
	t.Parallel()
	cfg := collect.Config{Rate: 0.04, LowConfidenceWeight: 2, NoveltyWeight: 6}
	const n = 4000
	posts := make([]post, n)
	sure := 0
	for i := range posts {
		posts[i].Pairs = []pair{{Confidence: 0.25 + 0.75*float64(i%4)/3, Novel: i%10 == 0}}
		if i%4 == 3 {
			sure++
		}
	}
	weighed, sureWeighed := 0., 0.
	for row, s := range choose(t, cfg, posts...) {
		if s.Reason == "" {
			continue
		}
		weighed += 1 / s.Probability
		if row%4 == 3 {
			sureWeighed += 1 / s.Probability
		}
	}
	// A Horvitz-Thompson estimate of a count has variance Σ (1−p)/p.
	spread := func(n int) float64 { return 4 * math.Sqrt(float64(n)*(1-cfg.Rate)/cfg.Rate) }
	require.InDelta(t, n, weighed, spread(n))
	require.InDelta(t, sure, sureWeighed, spread(sure))
}

func TestSkipsAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	metrics := collect.NewMetrics(reg)
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	one := []pair{{Confidence: 0.9}}
	b := batch(t, mem, post{Pairs: one, Fields: `,"post_sensitive":true`}, post{Pairs: one, Fields: `,"post_opt_outs":["noai"]`}, post{Pairs: one})
	defer b.Release()
	require.NoError(t, stage(t, all, mem, metrics).Process(t.Context(), b))
	metrics.Skipped(collect.SkipNoRoom)
	metrics.Collected("rate")
	metrics.Holds(7)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP itrstream_collect_skipped_total Pairs that were drawn for the data set and left out, by reason.
# TYPE itrstream_collect_skipped_total counter
itrstream_collect_skipped_total{reason="no_room"} 1
itrstream_collect_skipped_total{reason="opted_out"} 1
itrstream_collect_skipped_total{reason="sensitive"} 1
itrstream_collect_skipped_total{reason="store_away"} 0
`), "itrstream_collect_skipped_total"))
}

// A rule that cannot be answered keeps nothing and is told of once, without
// what the post says.
func TestRuleThatFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := collect.New(collect.Config{Keep: []collect.Rule{{Name: "number", When: `int(result.text) > 3`}}},
		collect.Settings{Meta: meta, Alloc: memory.DefaultAllocator, Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	b := batch(t, memory.DefaultAllocator, post{Pairs: []pair{{Confidence: 0.5}, {Confidence: 0.6}}})
	defer b.Release()
	require.NoError(t, s.Process(t.Context(), b))
	require.Equal(t, 2, schemas.Col[*array.Struct](b.Pairs(), schemas.PairSelected).NullN())
	require.Equal(t, 1, strings.Count(log.String(), "rule=number"), log.String())
	require.NotContains(t, log.String(), "words")
}

func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := batch(t, mem, post{Pairs: []pair{{Confidence: 0.9}}})
	defer b.Release()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, stage(t, all, mem, nil).Process(cancelled, b), context.Canceled)
	require.False(t, schemas.Has(b.Pairs(), schemas.PairSelected), "columns are added on success only")
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	require.NoError(t, collect.DefaultConfig().Validate())
	for want, cfg := range map[string]collect.Config{
		"rate: 1.5: must be between 0 and 1":                {Rate: 1.5},
		"rate: NaN":                                         {Rate: math.NaN()},
		"rates[0].rate: -1":                                 {Rates: []collect.Rate{{Source: "x", Rate: -1}}},
		"rates[1]: needs a source or a lang":                {Rates: []collect.Rate{{Lang: "en"}, {Rate: 0.5}}},
		"low_confidence_weight: -1":                         {LowConfidenceWeight: -1},
		"novelty_weight: 1001":                              {NoveltyWeight: 1001},
		`keep[0].name: "Über" is not a name`:                {Keep: []collect.Rule{{Name: "Über", When: "true"}}},
		`keep[1].name: "a" is the name of an earlier rule`:  {Keep: []collect.Rule{{Name: "a", When: "true"}, {Name: "a", When: "true"}}},
		`keep[0].when (rule "a"): line 1, column 5`:         {Keep: []collect.Rule{{Name: "a", When: "pair.confidnce < 0.5"}}},
		`keep[0].when (rule "a"): the expression is empty`:  {Keep: []collect.Rule{{Name: "a"}}},
		`keep[0].when (rule "a"): the expression is of typ`: {Keep: []collect.Rule{{Name: "a", When: "pair.confidence"}}},
	} {
		require.ErrorContains(t, cfg.Validate(), want)
		_, err := collect.New(cfg, collect.Settings{})
		require.ErrorContains(t, err, want)
	}
}

// Golden draws: another machine, or a later version, must choose the same.
func TestDrawsStayTheSame(t *testing.T) {
	t.Parallel()
	posts := make([]post, 64)
	for i := range posts {
		posts[i].Pairs = []pair{{Confidence: 1}, {Confidence: 1}}
	}
	var rows []int
	for row, s := range choose(t, collect.Config{Rate: 0.1}, posts...) {
		if s.Reason != "" {
			rows = append(rows, row)
		}
	}
	text, err := json.Marshal(rows)
	require.NoError(t, err)
	require.JSONEq(t, `[16,29,36,38,41,44,53,60,67,88,95,96,109,114]`, string(text))
}
