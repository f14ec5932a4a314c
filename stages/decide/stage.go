package decide

import (
	"context"
	"fmt"

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

	for row := range int(b.Posts().NumRows()) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("decide: %w", err)
		}
		if schemas.OutcomeAt(b, row) != schemas.OutcomeResult {
			lists.AppendNull()
			continue
		}
		lists.Append(true)
		if len(s.rules) == 0 {
			continue
		}
		// A result without timings: rules can't see them.
		r := schemas.ResultAt(b, row, s.settings.Meta, b.Fetched)
		for i := range s.rules {
			if d, ok := s.rules[i].apply(&r); ok {
				decisions.Append(true)
				appendString(decisions.FieldBuilder(0), d.Rule)
				appendString(decisions.FieldBuilder(1), d.Topic)
				appendString(decisions.FieldBuilder(2), d.Error)
			}
		}
	}
	b.AddPosts(fields, []arrow.Array{lists.NewArray()})
	return nil
}

func appendString(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(s)
}
