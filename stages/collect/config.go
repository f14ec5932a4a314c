package collect

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/itrstream/itrstream/schemas/condition"
)

// Config is what operators choose about which pairs are collected.
type Config struct {
	// Rate is the probability of a pair that is sure and nothing new, where no
	// entry of Rates fits.
	Rate float64 `mapstructure:"rate"`
	// Rates are those of sources and languages; the first that fits counts.
	Rates []Rate `mapstructure:"rates"`
	// Keep always keeps the pairs on which one of its rules holds.
	Keep []Rule `mapstructure:"keep"`
	// LowConfidenceWeight multiplies the rate by 1 + weight for a pair without
	// any confidence, and by less for surer ones.
	LowConfidenceWeight float64 `mapstructure:"low_confidence_weight"`
	// NoveltyWeight adds weight to that factor for a pair far outside its
	// cluster.
	NoveltyWeight float64 `mapstructure:"novelty_weight"`
	// IncludeSensitive lets sensitive posts in.
	IncludeSensitive bool `mapstructure:"include_sensitive"`
}

// Rate is how likely pairs of some posts are chosen.
type Rate struct {
	// Source is a post's source; empty: any.
	Source string `mapstructure:"source"`
	// Lang is a language tag, and fits posts in a variety of it, too: en fits
	// en-GB; empty: any, and posts without a language.
	Lang string  `mapstructure:"lang"`
	Rate float64 `mapstructure:"rate"`
}

// Rule always keeps pairs.
type Rule struct {
	// Name identifies the rule in a pair's reason, rule:<name>, and in metrics:
	// lower-case letters, digits, _ and -.
	Name string `mapstructure:"name"`
	// When is a CEL expression over result and pair.
	When string `mapstructure:"when"`
}

// DefaultConfig takes one pair of a hundred, up to two where the model hesitates,
// and five more where something is new.
func DefaultConfig() Config {
	return Config{Rate: 0.01, Rates: []Rate{}, Keep: []Rule{}, LowConfidenceWeight: 1, NoveltyWeight: 4}
}

// maxWeight keeps weights to what can be meant.
const maxWeight = 1000

var nameSyntax = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Validate reports every fault, those of the expressions included.
func (c Config) Validate() error {
	_, err := compile(c)
	return err
}

// kept is a rule ready to run.
type kept struct {
	name string
	when *condition.Condition
}

func compile(c Config) ([]kept, error) {
	var faults []error
	share := func(key string, v float64) {
		if !(v >= 0 && v <= 1) {
			faults = append(faults, fmt.Errorf("%s: %v: must be between 0 and 1", key, v))
		}
	}
	share("rate", c.Rate)
	for i, r := range c.Rates {
		share(fmt.Sprintf("rates[%d].rate", i), r.Rate)
		if r.Source == "" && r.Lang == "" {
			faults = append(faults, fmt.Errorf("rates[%d]: needs a source or a lang: collect.rate is for all others", i))
		}
	}
	for _, w := range []struct {
		key   string
		value float64
	}{{"low_confidence_weight", c.LowConfidenceWeight}, {"novelty_weight", c.NoveltyWeight}} {
		if !(w.value >= 0 && w.value <= maxWeight) {
			faults = append(faults, fmt.Errorf("%s: %v: must be between 0 and %d", w.key, w.value, maxWeight))
		}
	}
	var rules []kept
	seen := make(map[string]bool)
	for i, r := range c.Keep {
		key := fmt.Sprintf("keep[%d]", i)
		switch {
		case !nameSyntax.MatchString(r.Name):
			faults = append(faults, fmt.Errorf("%s.name: %q is not a name: a lower-case letter, then at most 63 lower-case letters, digits, _ or -", key, r.Name))
		case seen[r.Name]:
			faults = append(faults, fmt.Errorf("%s.name: %q is the name of an earlier rule", key, r.Name))
		}
		seen[r.Name] = true
		when, err := condition.OfPair(r.When)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s.when (rule %q): %w", key, r.Name, err))
		}
		rules = append(rules, kept{name: r.Name, when: when})
	}
	return rules, errors.Join(faults...)
}

// rateOf is the rate of a post.
func (c Config) rateOf(source string, langs []string) float64 {
	for _, r := range c.Rates {
		if r.fits(source, langs) {
			return r.Rate
		}
	}
	return c.Rate
}

func (r Rate) fits(source string, langs []string) bool {
	if r.Source != "" && r.Source != source {
		return false
	}
	if r.Lang == "" {
		return true
	}
	for _, tag := range langs {
		if strings.EqualFold(tag, r.Lang) ||
			len(tag) > len(r.Lang) && tag[len(r.Lang)] == '-' && strings.EqualFold(tag[:len(r.Lang)], r.Lang) {
			return true
		}
	}
	return false
}
