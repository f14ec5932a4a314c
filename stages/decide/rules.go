package decide

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/condition"
)

// maxError bounds an error recorded in a result, in bytes: it may quote what
// the rule tripped over.
const maxError = 200

// compiled is a rule ready to run.
type compiled struct {
	Rule
	when *condition.Condition
	// imageless is the answer for every result without an image, which are
	// most of a stream; nil where each must be asked for.
	imageless *answer
}

// answer is what came of a rule: a decision if there is one.
type answer struct {
	schemas.Decision
	decided bool
}

// compile checks and prepares rules.
func compile(rules []Rule) ([]compiled, error) {
	var out []compiled
	var faults []error
	seen := make(map[string]bool)
	for i, r := range rules {
		key := fmt.Sprintf("rules[%d]", i)
		when, err := condition.OfResult(r.When)
		if err != nil {
			err = fmt.Errorf("%s.when (rule %q): %w", key, r.Name, err)
		}
		faults = append(faults, r.check(key, seen), err)
		out = append(out, compiled{Rule: r, when: when})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return out, nil
}

// prepare answers beforehand what has the same answer for all results without
// an image.
func (c *compiled) prepare(m schemas.ResultMeta) {
	if c.when.Common() {
		a := c.apply(&schemas.Result{
			Schema: schemas.ResultSchema, Status: schemas.StatusNoImage, Pairs: []schemas.Pair{}, Model: m.Model, ConfigDigest: m.ConfigDigest,
		})
		c.imageless = &a
	}
}

// apply runs one rule. There is a decision if it applies, or if it failed.
func (c *compiled) apply(r *schemas.Result) answer {
	applies, err := c.when.Holds(r, nil)
	switch {
	case err != nil:
		return answer{schemas.Decision{Rule: c.Name, Error: short(err.Error())}, true}
	case applies:
		return answer{schemas.Decision{Rule: c.Name, Topic: c.Topic}, true}
	}
	return answer{}
}

// short cuts an error to what a result should carry.
func short(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxError {
		return s
	}
	end := maxError
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
