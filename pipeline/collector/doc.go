// Package collector makes a data set of the collected topic: itrstream collect.
//
// Wondering where a collector goes on after a crash? Read partition.claim,
// then dataset.Chain.
// Wondering why a record is no row? The reasons stand in metrics.go, what
// leads to them in partition.take.
// Wondering when a shard ends? Read partition.due.
// Near duplicates are told by package duplicates, takedowns done by package
// takedown.
package collector
