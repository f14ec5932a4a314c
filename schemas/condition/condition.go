// Package condition runs what operators ask about results: CEL expressions
// over schemas.Result and schemas.Pair, under their JSON names.
//
// Absent fields read as "", 0, false or an empty list; has(result.sensitive)
// tells absent from false, as has(result.confidence) tells a post without any
// relation from one that the model doubts. Numbers of different types compare.
// Beside CEL's own functions there are those of its strings extension, such as
// lowerAscii.
//
// Expressions see neither timings nor decisions: the same result must bring
// the same answer whenever it is computed (invariant 6), and in whatever order rules are written.
package condition

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"

	"github.com/itrstream/itrstream/schemas"
)

// maxCost bounds the work of one question, in CEL's units. Searching the
// longest text with an ordinary regular expression stays below it; reaching it takes
// some tens of milliseconds.
const maxCost = 200_000

// Condition is an expression ready to run. It is safe for concurrent use.
type Condition struct {
	program cel.Program
	common  bool
}

// OfResult compiles an expression over result.
func OfResult(when string) (*Condition, error) {
	return compile(when, cel.Variable("result", cel.ObjectType("schemas.Result")))
}

// OfPair compiles an expression over result and pair, one of its pairs.
func OfPair(when string) (*Condition, error) {
	return compile(when, cel.Variable("result", cel.ObjectType("schemas.Result")), cel.Variable("pair", cel.ObjectType("schemas.Pair")))
}

func compile(when string, over ...cel.EnvOption) (*Condition, error) {
	if strings.TrimSpace(when) == "" {
		return nil, errors.New("the expression is empty")
	}
	env, err := cel.NewEnv(append(over,
		ext.NativeTypes(reflect.TypeFor[schemas.Result](), ext.ParseStructField(fieldName)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		ext.Strings(),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	checked, issues := env.Compile(when)
	if issues.Err() != nil {
		var faults []string
		for _, fault := range issues.Errors() {
			// CEL counts columns from 0.
			faults = append(faults, fmt.Sprintf("line %d, column %d: %s",
				fault.Location.Line(), fault.Location.Column()+1, fault.Message))
		}
		return nil, errors.New(strings.Join(faults, "; "))
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("the expression is of type %v and must be true or false", checked.OutputType())
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	return &Condition{program: program, common: common(checked.NativeRep().Expr())}, nil
}

// shared are the fields in which all results without an image are alike, as
// far as they come of one process.
var shared = map[string]bool{
	"schema": true, "status": true, "relation": true, "confidence": true, "pairs": true, "model": true, "config_digest": true,
}

// common reports whether an expression reads nothing of a result but what is
// shared. Wherever a variable of its own hides result, that holds what comes
// of these fields, too.
func common(e ast.Expr) bool {
	variables, fields := 0, 0
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if variable(e) {
				variables++
			}
		case ast.SelectKind:
			if s := e.AsSelect(); s.Operand().Kind() == ast.IdentKind && variable(s.Operand()) && shared[s.FieldName()] {
				fields++
			}
		default:
		}
	}))
	return variables == fields
}

func variable(ident ast.Expr) bool {
	name := strings.TrimPrefix(ident.AsIdent(), ".")
	return name == "result" || name == "pair"
}

// Common reports whether the answer is the same for all results without an
// image that come of one process: it reads nothing in which they differ.
func (c *Condition) Common() bool { return c.common }

// fieldName gives fields their names on the wire and hides those whose values
// differ from one run to the next.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "timings_ms" || name == "decisions" {
		return ""
	}
	return name
}

// Holds answers for a result, and for one of its pairs if the expression is
// about one. An error is the expression's: it cannot be answered here. It may
// quote what the post says.
func (c *Condition) Holds(r *schemas.Result, p *schemas.Pair) (bool, error) {
	over := map[string]any{"result": r}
	if p != nil {
		over["pair"] = p
	}
	out, _, err := c.program.Eval(over)
	if err != nil {
		return false, err
	}
	return out.Value() == true, nil
}
