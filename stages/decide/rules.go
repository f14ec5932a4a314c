package decide

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/itrstream/itrstream/schemas"
)

// maxCost bounds the work of one rule on one result, in CEL's units. Searching
// the longest text with an ordinary regular expression stays below it; reaching
// it takes some tens of milliseconds.
const maxCost = 200_000

// maxError bounds an error recorded in a result, in bytes: it may quote what
// the rule tripped over.
const maxError = 200

// compiled is a rule ready to run.
type compiled struct {
	Rule
	program cel.Program
}

// compile checks and prepares rules.
func compile(rules []Rule) ([]compiled, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("decide: %w", err)
	}
	var out []compiled
	var faults []error
	seen := make(map[string]bool)
	for i, r := range rules {
		key := fmt.Sprintf("rules[%d]", i)
		program, err := program(env, r.When)
		if err != nil {
			err = fmt.Errorf("%s.when (rule %q): %w", key, r.Name, err)
		}
		faults = append(faults, r.check(key, seen), err)
		out = append(out, compiled{Rule: r, program: program})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return out, nil
}

func environment() (*cel.Env, error) {
	return cel.NewEnv(
		ext.NativeTypes(reflect.TypeFor[schemas.Result](), ext.ParseStructField(fieldName)),
		cel.Variable("result", cel.ObjectType("schemas.Result")),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		ext.Strings(),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	)
}

// fieldName gives fields their names on the wire and hides those whose values
// differ from one run to the next.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "timings_ms" || name == "decisions" {
		return ""
	}
	return name
}

func program(env *cel.Env, when string) (cel.Program, error) {
	if strings.TrimSpace(when) == "" {
		return nil, errors.New("the expression is empty")
	}
	ast, issues := env.Compile(when)
	if issues.Err() != nil {
		var faults []string
		for _, fault := range issues.Errors() {
			// CEL counts columns from 0.
			faults = append(faults, fmt.Sprintf("line %d, column %d: %s",
				fault.Location.Line(), fault.Location.Column()+1, fault.Message))
		}
		return nil, errors.New(strings.Join(faults, "; "))
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("the expression is of type %v and must be true or false", ast.OutputType())
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
}

// apply runs one rule, and returns its decision if there is one: it applies,
// or it failed.
func (c *compiled) apply(r *schemas.Result) (schemas.Decision, bool) {
	out, _, err := c.program.Eval(map[string]any{"result": r})
	switch {
	case err != nil:
		return schemas.Decision{Rule: c.Name, Error: short(err.Error())}, true
	case out.Value() == true:
		return schemas.Decision{Rule: c.Name, Topic: c.Topic}, true
	}
	return schemas.Decision{}, false
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
