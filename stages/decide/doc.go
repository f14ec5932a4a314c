// Package decide draws conclusions from results: rules that operators write
// as CEL expressions over result, a schemas.Result under its JSON names.
//
// Writing a rule? Read Rule, then the examples in DefaultConfig.
// A rule is refused at start? The error names the rule and the position.
// A rule failed on a result? Its error stands in that result's decisions.
// Asking what rules see? Read schemas/condition.
package decide
