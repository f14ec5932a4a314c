package decide

import (
	"errors"
	"fmt"
	"regexp"
)

// Topics that a rule may send a result to. Which Kafka topics these are is
// configured elsewhere.
const (
	TopicNone       = "" // the decision is only recorded in the result
	TopicModeration = "moderation"
	TopicReview     = "review"
)

var nameSyntax = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Rule is one question about a result.
type Rule struct {
	// Name identifies the rule in decisions and metrics: lower-case letters,
	// digits, _ and -.
	Name string `mapstructure:"name"`
	// When is a CEL expression over result that is true where the rule
	// applies.
	When string `mapstructure:"when"`
	// Topic gets a copy of the result where the rule applies: moderation,
	// review, or empty for none.
	Topic string `mapstructure:"topic"`
}

// Config is what operators choose about decisions.
type Config struct {
	Rules []Rule `mapstructure:"rules"`
}

// DefaultConfig has three rules to start from.
func DefaultConfig() Config {
	return Config{Rules: []Rule{
		{
			// The model hesitates: chance alone is 0.25.
			Name:  "uncertain",
			When:  `has(result.confidence) && result.confidence < 0.4`,
			Topic: TopicReview,
		},
		{
			// Text that surely has nothing to do with its image, which is unlike
			// anything seen of late: the pattern of spam under borrowed pictures.
			Name:  "unrelated_and_novel",
			When:  `result.pairs.exists(p, p.relation == "neither" && p.confidence >= 0.8 && p.novel)`,
			Topic: TopicModeration,
		},
		{
			// Some image could not be judged, so the relation is that of the rest.
			Name: "incomplete",
			When: `result.pairs.exists(p, has(p.failure))`,
		},
	}}
}

// Validate reports every fault of the section, those of the expressions
// included.
func (c Config) Validate() error {
	_, err := compile(c.Rules)
	return err
}

// check reports what is wrong with a rule apart from its expression.
func (r Rule) check(key string, seen map[string]bool) error {
	var faults []error
	switch {
	case !nameSyntax.MatchString(r.Name):
		faults = append(faults, fmt.Errorf(
			"%s.name: %q is not a name: a lower-case letter, then at most 63 lower-case letters, digits, _ or -", key, r.Name))
	case seen[r.Name]:
		faults = append(faults, fmt.Errorf("%s.name: %q is the name of an earlier rule", key, r.Name))
	}
	seen[r.Name] = true
	switch r.Topic {
	case TopicNone, TopicModeration, TopicReview:
	default:
		faults = append(faults, fmt.Errorf("%s.topic: %q is not %s, %s or empty", key, r.Topic, TopicModeration, TopicReview))
	}
	return errors.Join(faults...)
}
