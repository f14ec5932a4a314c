package decide_test

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/decide"
)

const (
	labelled = iota
	hesitant
	withoutImage
	deleted
	rejected
)

// batch is what decide sees: a sure and novel pair beside a failed one, a
// pair that the model doubts, a post without an image, a delete, a reject.
func batch(tb testing.TB, alloc memory.Allocator) *schemas.Batch {
	tb.Helper()
	b := schematest.Decoded(tb, alloc, []string{
		`{"post_source":"bluesky","post_op":"create","post_id":"p0","post_text":"so sad","post_langs":["en"],"post_sensitive":false,
		  "post_created_at":"2026-09-01T10:15:29.900Z"}`,
		`{"post_op":"update","post_id":"p1","post_text":""}`,
		`{"post_op":"create","post_id":"p2","post_text":"words"}`,
		`{"post_op":"delete","post_id":"p3"}`,
		`{}`,
	}, []string{
		`{"pair_post":0,"pair_index":0}`, `{"pair_post":0,"pair_index":1}`, `{"pair_post":1,"pair_index":0}`,
	})
	b.Reject(rejected, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed})
	schematest.AddPairs(tb, alloc, b, schemas.MediaFields(1)[2:], `{}`, `{"pair_failure":"corrupt"}`, `{}`)
	schematest.AddPairs(tb, alloc, b, schemas.InferFields(1),
		`{"pair_scores":[0.83,0.05,0.07,0.05],"pair_text_is_represented":0.12,"pair_image_adds":0.1,"pair_similarity":-0.25,"pair_embedding":[1]}`,
		`{}`,
		`{"pair_scores":[0.2,0.2,0.3,0.3],"pair_text_is_represented":0.6,"pair_image_adds":0.5,"pair_similarity":0.1,"pair_embedding":[1]}`)
	schematest.AddPairs(tb, alloc, b, schemas.ClusterFields(),
		`{"pair_cluster":"c7","pair_cluster_status":"assigned","pair_distance":1.5,"pair_novelty":true,"pair_centroid_version":12}`,
		`{}`,
		`{"pair_cluster_status":"bootstrapping"}`)
	return b
}

// decisions runs rules over the batch and returns each row's decisions.
func decisions(t *testing.T, rules ...decide.Rule) [][]schemas.Decision {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := batch(t, mem)
	defer b.Release()
	stage, err := decide.New(decide.Config{Rules: rules}, decide.Settings{Alloc: mem})
	require.NoError(t, err)
	require.NoError(t, stage.Process(t.Context(), b))
	require.NoError(t, stage.Process(t.Context(), b), "a second run replaces the first")

	lists := schemas.Col[*array.List](b.Posts(), schemas.PostDecisions)
	out := make([][]schemas.Decision, lists.Len())
	for row := range out {
		if schemas.OutcomeAt(b, row) != schemas.OutcomeResult {
			require.True(t, lists.IsNull(row))
			continue
		}
		require.True(t, lists.IsValid(row))
		out[row] = schemas.ResultAt(b, row, schemas.ResultMeta{}, schematest.Start).Decisions
	}
	return out
}

func TestDefaultRules(t *testing.T) {
	t.Parallel()
	require.NoError(t, decide.DefaultConfig().Validate())
	got := decisions(t, decide.DefaultConfig().Rules...)
	assert.Equal(t, [][]schemas.Decision{
		labelled:     {{Rule: "unrelated_and_novel", Topic: "moderation"}, {Rule: "incomplete"}},
		hesitant:     {{Rule: "uncertain", Topic: "review"}},
		withoutImage: nil,
		deleted:      nil,
		rejected:     nil,
	}, got)
}

// Each expression names the rows on which it must hold.
func TestExpressions(t *testing.T) {
	t.Parallel()
	for when, rows := range map[string][]int{
		`true`:                         {labelled, hesitant, withoutImage},
		`result.schema == "result.v1"`: {labelled, hesitant, withoutImage},
		`result.status == "no_image"`:  {withoutImage},
		`result.op == "update"`:        {hesitant},
		`has(result.confidence)`:       {labelled, hesitant},
		`result.confidence > 0.8 && result.confidence <= 0.83`:              {labelled},
		`result.confidence < 1`:                                             {labelled, hesitant, withoutImage},
		`has(result.sensitive)`:                                             {labelled},
		`result.sensitive`:                                                  {},
		`"en" in result.langs`:                                              {labelled},
		`result.created_at > timestamp("2026-01-01T00:00:00Z")`:             {labelled},
		`has(result.created_at) && result.created_at.getFullYear() == 2026`: {labelled},
		`result.text.upperAscii().contains("SAD")`:                          {labelled},
		`result.text.matches("^w")`:                                         {withoutImage},
		`result.relation == "text_represented"`:                             {hesitant},
		`size(result.pairs) == 2`:                                           {labelled},
		`result.pairs.exists(p, has(p.failure) && p.failure == "corrupt")`:  {labelled},
		`result.pairs.exists(p, p.scores.neither > 0.5)`:                    {labelled},
		`result.pairs.exists(p, has(p.scores) && p.scores.both > 0.25)`:     {hesitant},
		`result.pairs.exists(p, p.similarity < 0.0)`:                        {labelled},
		`result.pairs.exists(p, p.cluster == "c7" && p.distance >= 1.5)`:    {labelled},
		`result.pairs.exists(p, has(p.cluster))`:                            {labelled},
		`result.pairs.exists(p, p.cluster_status == "bootstrapping")`:       {hesitant},
		`result.pairs.exists(p, p.novel)`:                                   {labelled},
		`result.pairs.exists(p, p.centroid_version >= 12)`:                  {labelled},
		`result.pairs.all(p, p.text_is_represented > 0.5)`:                  {hesitant, withoutImage},
		`result.input.topic == "posts" && result.input.offset == 1`:         {hesitant},
		`result.model.digest == ""`:                                         {labelled, hesitant, withoutImage},
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			var got []int
			for row, d := range decisions(t, decide.Rule{Name: "r", When: when}) {
				if len(d) > 0 {
					assert.Equal(t, []schemas.Decision{{Rule: "r"}}, d)
					got = append(got, row)
				}
			}
			assert.ElementsMatch(t, rows, got)
		})
	}
}

func TestRuleThatFails(t *testing.T) {
	t.Parallel()
	got := decisions(t,
		decide.Rule{Name: "first", When: `result.pairs[1].confidence >= 0.0`, Topic: "review"},
		decide.Rule{Name: "second", When: `result.op == "update"`, Topic: "moderation"})
	assert.Equal(t, [][]schemas.Decision{
		labelled:     {{Rule: "first", Topic: "review"}},
		hesitant:     {{Rule: "first", Error: "index out of bounds: 1"}, {Rule: "second", Topic: "moderation"}},
		withoutImage: {{Rule: "first", Error: "index out of bounds: 1"}},
		deleted:      nil, rejected: nil,
	}, got)
}

func TestCostLimit(t *testing.T) {
	t.Parallel()
	list := "[" + strings.Repeat("1,", 30) + "1]"
	when := list + `.all(a, ` + list + `.all(b, ` + list + `.all(c, ` + list + `.all(d, a + b + c + d > 0))))`
	for row, d := range decisions(t, decide.Rule{Name: "bomb", When: when, Topic: "review"}) {
		if row > withoutImage {
			continue
		}
		require.Len(t, d, 1)
		assert.Contains(t, d[0].Error, "cost limit")
		assert.Empty(t, d[0].Topic)
	}
}

func TestNoRules(t *testing.T) {
	t.Parallel()
	for _, d := range decisions(t) {
		assert.Empty(t, d)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := batch(t, mem)
	defer b.Release()
	stage, err := decide.New(decide.DefaultConfig(), decide.Settings{Alloc: mem})
	require.NoError(t, err)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, stage.Process(cancelled, b), context.Canceled)
	assert.False(t, schemas.Has(b.Posts(), schemas.PostDecisions), "columns are added on success only")
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rule decide.Rule
		want string
	}{
		{"typo in a field", decide.Rule{Name: "r", When: `result.confidnce < 0.5`}, `rules[1].when (rule "r"): line 1, column 7: undefined field 'confidnce'`},
		{"typo in a pair", decide.Rule{Name: "r", When: "true &&\n result.pairs.exists(p, p.nov)"}, `rules[1].when (rule "r"): line 2, column 26: undefined field 'nov'`},
		{"type", decide.Rule{Name: "r", When: `result.text > 3`}, `rules[1].when (rule "r"): line 1, column 13: found no matching overload for '_>_' applied to '(string, int)'`},
		{"syntax", decide.Rule{Name: "r", When: `result.text ==`}, `rules[1].when (rule "r"): line 1, column 15: Syntax error: mismatched input '<EOF>'`},
		{"not a condition", decide.Rule{Name: "r", When: `result.confidence`}, `rules[1].when (rule "r"): the expression is of type double and must be true or false`},
		{"empty", decide.Rule{Name: "r"}, `rules[1].when (rule "r"): the expression is empty`},
		{"regular expression", decide.Rule{Name: "r", When: `result.text.matches("(")`}, `rules[1].when (rule "r"): line 1, column 21: invalid matches argument`},
		{"timings", decide.Rule{Name: "r", When: `result.timings_ms.total > 1.0`}, `rules[1].when (rule "r"): line 1, column 7: undefined field 'timings_ms'`},
		{"decisions", decide.Rule{Name: "r", When: `size(result.decisions) > 0`}, `rules[1].when (rule "r"): line 1, column 12: undefined field 'decisions'`},
		{"name", decide.Rule{Name: "Rule One", When: "true"}, `rules[1].name: "Rule One" is not a name`},
		{"no name", decide.Rule{When: "true"}, `rules[1].name: "" is not a name`},
		{"same name", decide.Rule{Name: "first", When: "true"}, `rules[1].name: "first" is the name of an earlier rule`},
		{"topic", decide.Rule{Name: "r", When: "true", Topic: "posts"}, `rules[1].topic: "posts" is not moderation, review or empty`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := decide.Config{Rules: []decide.Rule{{Name: "first", When: "true"}, tt.rule}}
			assert.ErrorContains(t, cfg.Validate(), tt.want)
			_, err := decide.New(cfg, decide.Settings{Alloc: memory.DefaultAllocator})
			assert.ErrorContains(t, err, tt.want)
		})
	}
	both := decide.Config{Rules: []decide.Rule{{Name: "a", When: "1"}, {Name: "b", When: "x", Topic: "y"}}}
	for _, want := range []string{"rules[0].when", "rules[1].when", "rules[1].topic"} {
		assert.ErrorContains(t, both.Validate(), want)
	}
}

func BenchmarkDefaultRules(b *testing.B) {
	batch := batch(b, memory.DefaultAllocator)
	defer batch.Release()
	stage, err := decide.New(decide.DefaultConfig(), decide.Settings{Alloc: memory.DefaultAllocator})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, stage.Process(b.Context(), batch))
	}
}
