// Package oracle judges a pipeline from outside. It writes posts of all kinds
// to Kafka, reads what came of them with another client than the pipeline's,
// at read_committed, and holds it against the invariants: each offset has one
// outcome, in order, dead letters are the original bytes, labels repeat, and
// the centroids in Redis hold each pair once. It shares no code with the
// pipeline but the schemas.
//
// What does it send? writer.go.
// What does it call lost, duplicated or out of order? judge.go.
// How does it count what was folded? centroids.go.
package oracle
