package condition_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/condition"
)

// imageless are results without an image of one process that differ in all
// that they may differ in.
func imageless() []*schemas.Result {
	yes := true
	one := schemas.Result{
		Schema: schemas.ResultSchema, Status: schemas.StatusNoImage, Pairs: []schemas.Pair{}, Model: schemas.ModelRef{Name: "m"}, ConfigDigest: "c",
	}
	other := one
	other.ResultID, other.Source, other.Op, other.PostID, other.AuthorID, other.Text = "r", "s", schemas.OpUpdate, "p", "a", "t"
	other.CreatedAt, other.Langs, other.Sensitive, other.ParentID, other.URI, other.Version = time.Unix(1e9, 0), []string{"en"}, &yes, "q", "u", "v"
	other.Input = schemas.Input{Topic: "posts", Partition: 1, Offset: 2, Time: time.Unix(1e9, 0)}
	return []*schemas.Result{&one, &other}
}

// Each expression is common or it is not, and those that are have one answer.
func TestCommon(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]bool{
		`true`: true,
		`has(result.confidence) && result.confidence < 0.4`:                              true,
		`result.pairs.exists(p, p.relation == "neither" && p.confidence >= 0.8)`:         true,
		`result.pairs.all(p, p.alt.contains("x"))`:                                       true,
		`result.pairs[0].novel`:                                                          true, // an error, which is the same too
		`result.status == "no_image" && result.schema != result.relation`:                true,
		`result.model.name == "m" && result.config_digest == "c"`:                        true,
		`["a"].exists(result, result == "a")`:                                            false, // which hides result, and is not worth more thought
		`result.pairs.exists(result, result.relation == "both")`:                         true,
		`result.pairs.exists(p, p.alt == result.text)`:                                   false,
		`result.pairs.exists(result, result.alt == "")`:                                  false,
		`result.text == "t"`:                                                             false,
		`has(result.sensitive)`:                                                          false,
		`"en" in result.langs`:                                                           false,
		`result.input.offset == 2`:                                                       false,
		`result.source == "s"`:                                                           false,
		`result == result`:                                                               false,
		`[result].exists(r, r.text == "t")`:                                              false,
		`.result.text == "t"`:                                                            false,
		`size([1, 2].map(n, result.op)) == 2 && result.pairs == []`:                      false,
		`result.created_at < timestamp("2020-01-01T00:00:00Z") || result.status == "no"`: false,
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			c, err := condition.OfResult(when)
			require.NoError(t, err)
			require.Equal(t, want, c.Common())
			if !want {
				return
			}
			var answers [2]bool
			var errors [2]error
			for i, r := range imageless() {
				answers[i], errors[i] = c.Holds(r, nil)
			}
			require.Equal(t, answers[0], answers[1])
			require.Equal(t, errors[0], errors[1])
		})
	}
}
