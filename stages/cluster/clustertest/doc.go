// Package clustertest helps to test the cluster stage and its stores: Memory
// is the specification of a store, Conform compares another store with it,
// NewBatch builds what infer would hand over, Mixture draws embeddings that
// have clusters.
package clustertest
