// Package infer relates every pair's text to what media saw in its image: it
// gives the pair its scores, similarity and embedding.
//
// It looks across batches: pairs of several Process
// calls share one run of the Encoder, and each batch gets its own rows back in
// its own order.
//
// Changing when a run starts? Read join in batcher.go.
// Changing what happens when a run fails? That is model.Model's business.
// Chasing a leak or a row in the wrong place? Read job.
package infer
