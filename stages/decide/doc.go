// Package decide draws conclusions from results: rules that operators write
// as CEL expressions over result, a schemas.Result under its JSON names.
//
// Writing a rule? Read Rule, then the examples in DefaultConfig.
// A rule is refused at start? The error names the rule and the position.
// A rule failed on a result? Its error stands in that result's decisions.
//
// # What rules see
//
// Absent fields read as "", 0, false or an empty list; has(result.sensitive)
// tells absent from false, as has(result.confidence) tells a post without any
// relation from one that the model doubts. Numbers of different types compare.
// Beside CEL's own functions there are those of its strings extension, such as
// lowerAscii.
//
// Rules see neither timings nor the decisions of other rules: the same result
// must bring the same decisions whenever it is computed (invariant 6), and in
// whatever order rules are written.
package decide
