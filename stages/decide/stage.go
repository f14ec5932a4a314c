package decide

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
)

// Settings are what the wiring gives the stage.
type Settings struct {
	Meta  schemas.ResultMeta
	Alloc memory.Allocator
}

// Stage adds DecideFields to a batch. It is safe for concurrent use.
type Stage struct {
	rules    []compiled
	settings Settings
}

// New compiles the rules. A rule that cannot work is an error that names it
// and the position.
func New(cfg Config, settings Settings) (*Stage, error) {
	rules, err := compile(cfg.Rules)
	if err != nil {
		return nil, fmt.Errorf("decide: %w", err)
	}
	for i := range rules {
		rules[i].prepare(settings.Meta)
	}
	return &Stage{rules: rules, settings: settings}, nil
}

// Process records for every result which rules apply to it and which failed
// on it. Deletes and dead letters have no decisions. The only error is that of
// ctx.
func (s *Stage) Process(ctx context.Context, b *schemas.Batch) error {
	fields := schemas.DecideFields()
	lists := array.NewListBuilderWithField(s.settings.Alloc, fields[0].Type.(*arrow.ListType).ElemField())
	defer lists.Release()
	decisions := lists.ValueBuilder().(*array.StructBuilder)

	results := schemas.ResultsOf(b, s.settings.Meta)
	for row, outcome := range schemas.Outcomes(b) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("decide: %w", err)
		}
		if outcome != schemas.OutcomeResult {
			lists.AppendNull()
			continue
		}
		lists.Append(true)
		for _, d := range s.decide(results, row, b.Fetched) {
			decisions.Append(true)
			appendString(decisions.FieldBuilder(0), d.Rule)
			appendString(decisions.FieldBuilder(1), d.Topic)
			appendString(decisions.FieldBuilder(2), d.Error)
		}
	}
	b.AddPosts(fields, []arrow.Array{lists.NewArray()})
	return nil
}

// decide runs the rules over a row of Posts.
func (s *Stage) decide(results *schemas.Results, row int, now time.Time) (out []schemas.Decision) {
	first, end := results.PairsOf(row)
	var result *schemas.Result // made for the first rule that asks for it
	for i := range s.rules {
		rule := &s.rules[i]
		var a answer
		if rule.imageless != nil && first == end {
			a = *rule.imageless
		} else {
			if result == nil {
				// A result without timings: rules can't see them.
				r := results.At(row, now)
				result = &r
			}
			a = rule.apply(result)
		}
		if a.decided {
			out = append(out, a.Decision)
		}
	}
	return out
}

func appendString(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(s)
}
