// Package vectors is the arithmetic on embeddings and centroids, in C for the
// vector units of the processor.
//
// The same input gives the same bits on every processor, in every batch and at
// every place in it, so that all workers of a deployment assign alike. Every
// product is one chain of fused multiply-adds, x₀c₀ first. What stands side by
// side in a vector unit are centroids, never parts of one product, so its
// width cannot show.
//
// Adding a processor? Give kernel.h its lanes, as kernels.c does for others.
package vectors
