package dataset

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// Every row is in each count once, weights are 1/probability, and the parts add up to the whole.
func TestStats(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		relations := []string{"neither", "image_adds", "text_represented", "both"}
		rows := make([]Row, rapid.IntRange(1, 40).Draw(t, "rows"))
		want := map[string]float64{}
		for i := range rows {
			rows[i] = full(i)
			c := &rows[i].Collected
			c.Relation = rapid.SampledFrom(relations).Draw(t, "relation")
			c.Selected.Probability = rapid.SampledFrom([]float64{0.1, 0.25, 1}).Draw(t, "probability")
			c.Langs = rapid.SampledFrom([][]string{nil, {"en"}, {"en", "en"}}).Draw(t, "langs")
			c.License = rapid.SampledFrom([]string{"", "CC0-1.0"}).Draw(t, "license")
			want[c.Relation] += 1 / c.Selected.Probability
		}
		var whole, parts Stats
		for some := range slices.Chunk(rows, rapid.IntRange(1, 7).Draw(t, "rows of a part")) {
			var part Stats
			for i := range some {
				part.Add(&some[i])
				whole.Add(&some[i])
			}
			parts.Merge(part)
		}
		assert.EqualValues(t, len(rows), whole.Rows)
		for name, counts := range map[string]map[string]int64{
			"relations": whole.Relations, "sources": whole.Sources, "langs": whole.Langs, "days": whole.Days,
			"reasons": whole.Reasons, "licenses": whole.Licenses, "models": whole.Models,
		} {
			var all int64
			for _, n := range counts {
				all += n
			}
			assert.EqualValues(t, len(rows), all, name)
		}
		assert.InDeltaMapValues(t, want, whole.Weights, 1e-9)
		assert.InDeltaMapValues(t, whole.Weights, parts.Weights, 1e-9)
		whole.Weights, parts.Weights = nil, nil
		assert.Equal(t, whole, parts)
	})
}

func TestStatsBoundWhatPostsChoose(t *testing.T) {
	t.Parallel()
	var s Stats
	for i := range 3 * mostNames {
		r := full(i)
		r.Collected.Source = fmt.Sprint(i)
		s.Add(&r)
	}
	assert.Len(t, s.Sources, mostNames+1)
	assert.EqualValues(t, 2*mostNames, s.Sources[Other])
}
