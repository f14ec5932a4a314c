package collect

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

var _ stages.Stage = (*Stage)(nil)

// Settings are what the wiring gives the stage.
type Settings struct {
	Meta    schemas.ResultMeta
	Alloc   memory.Allocator
	Log     *slog.Logger
	Metrics *Metrics
}

// Stage adds CollectFields to a batch. It is safe for concurrent use.
type Stage struct {
	cfg      Config
	keep     []kept
	settings Settings

	failed sync.Map // names of rules that could not be answered
}

// New compiles the rules.
func New(cfg Config, settings Settings) (*Stage, error) {
	keep, err := compile(cfg)
	if err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	return &Stage{cfg: cfg, keep: keep, settings: settings}, nil
}

// Candidate reports whether a row of Pairs may come to be chosen, before
// anything but decode has run: whether its image is worth holding.
func (s *Stage) Candidate(b *schemas.Batch, row int) bool {
	post := int(schemas.Col[*array.Int32](b.Pairs(), schemas.PairPost).Value(row))
	if schemas.OutcomeAt(b, post) != schemas.OutcomeResult || s.leaveOut(b, post) != "" {
		return false
	}
	if len(s.keep) > 0 {
		return true
	}
	index := int(schemas.Col[*array.Int32](b.Pairs(), schemas.PairIndex).Value(row))
	return draw(s.resultID(b, post), index) < s.cfg.most(s.rate(b, post))
}

// Process chooses pairs of the batch. Failed pairs, and pairs of posts that
// are sensitive or opted out, are never chosen. The only error is that of ctx.
func (s *Stage) Process(ctx context.Context, b *schemas.Batch) error {
	fields := schemas.CollectFields()
	out := array.NewBuilder(s.settings.Alloc, fields[0].Type).(*array.StructBuilder)
	defer out.Release()
	reasons, probabilities := out.FieldBuilder(0).(*array.StringBuilder), out.FieldBuilder(1).(*array.Float64Builder)

	for post := range int(b.Posts().NumRows()) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("collect: %w", err)
		}
		for _, selected := range s.ofPost(b, post) {
			if selected == nil {
				out.AppendNull()
				continue
			}
			out.Append(true)
			reasons.Append(selected.Reason)
			probabilities.Append(selected.Probability)
		}
	}
	b.AddPairs(fields, []arrow.Array{out.NewArray()})
	return nil
}

// ofPost returns the choice of each pair of a row of Posts, nil where it is
// not chosen.
func (s *Stage) ofPost(b *schemas.Batch, post int) []*schemas.Selected {
	first, end := schemas.PairsOf(b, post)
	choices := make([]*schemas.Selected, end-first)
	if first == end || schemas.OutcomeAt(b, post) != schemas.OutcomeResult {
		return choices
	}
	indices := schemas.Col[*array.Int32](b.Pairs(), schemas.PairIndex)
	failures := schemas.Col[*array.String](b.Pairs(), schemas.PairFailure)
	id, rate, out := s.resultID(b, post), s.rate(b, post), s.leaveOut(b, post)
	most := s.cfg.most(rate)
	var result *schemas.Result // made for the first pair that may be chosen
	for i := range choices {
		drawn := draw(id, int(indices.Value(first+i)))
		if failures.IsValid(first+i) || len(s.keep) == 0 && drawn >= most {
			continue
		}
		if result == nil {
			// A result without timings: rules can't see them.
			r := schemas.ResultAt(b, post, s.settings.Meta, b.Fetched)
			result = &r
		}
		selected := s.choose(result, &result.Pairs[i], rate)
		switch {
		case drawn >= selected.Probability:
		case out != "":
			s.settings.Metrics.Skipped(out)
		default:
			choices[i] = &selected
		}
	}
	return choices
}

// choose gives a labelled pair its probability: 1 where a rule keeps it.
func (s *Stage) choose(r *schemas.Result, p *schemas.Pair, rate float64) schemas.Selected {
	for _, rule := range s.keep {
		switch holds, err := rule.when.Holds(r, p); {
		case err != nil:
			// The error may quote the post, and the next pair may bring the
			// same one.
			if _, told := s.failed.LoadOrStore(rule.name, true); !told {
				s.settings.Log.Warn("a rule of collect.keep cannot be answered for some pairs: it does not keep them", "rule", rule.name)
			}
		case holds:
			return schemas.Selected{Reason: ruleReason + rule.name, Probability: 1}
		}
	}
	return s.cfg.chance(rate, p)
}

// leaveOut says why no pair of a post may be collected, if so.
func (s *Stage) leaveOut(b *schemas.Batch, post int) Skip {
	sensitive := schemas.Col[*array.Boolean](b.Posts(), schemas.PostSensitive)
	switch {
	case len(schemas.OptOutsAt(b, post)) > 0:
		return SkipOptedOut
	case !s.cfg.IncludeSensitive && sensitive.IsValid(post) && sensitive.Value(post):
		return SkipSensitive
	}
	return ""
}

func (s *Stage) resultID(b *schemas.Batch, post int) string {
	offset := schemas.Col[*array.Int64](b.Posts(), schemas.RecordOffset).Value(post)
	return schemas.ResultID(s.settings.Meta.KafkaCluster, b.Partition, offset)
}

func (s *Stage) rate(b *schemas.Batch, post int) float64 {
	if len(s.cfg.Rates) == 0 {
		return s.cfg.Rate
	}
	return s.cfg.rateOf(schemas.SourceAt(b, post), schemas.LangsAt(b, post))
}
