// Package pipeline wires the stages and connectors together and runs them.
//
// How are the parts put together? Read Run.
// What happens to one partition, in which order? Read chain.
// What is emitted for a post? Read emitter.
// How is memory bounded? Read budget.
package pipeline
