// Package infer gives every pair that has pixels its scores, similarity and
// embedding.
//
// It is the only stage that looks across batches: pairs of several Process
// calls share one run of the Encoder, and each batch gets its own rows back in
// its own order.
//
// Changing when a run starts? Read join in batcher.go.
// Changing what happens when a run fails? Read attempt in batcher.go.
// Chasing a leak or a row in the wrong place? Read job.
package infer
