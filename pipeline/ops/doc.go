// Package ops is how operators see into a running process: a listener with
// metrics, health and profiles, and the traces it sends.
//
// Adding a metric? Put it into the Metrics of the package that counts, list
// the package in pipeline.NewMetrics, and run make golden for the table in the docs.
// Wondering why a process is not ready, or not alive? Read Health.
// Wondering where a post's spans come from? Read Tracer.
//
// Metrics, health and traces watch; nothing of the pipeline waits for them.
package ops
