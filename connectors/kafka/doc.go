// Package kafka reads input posts from Kafka and writes everything that comes
// of them, on top of kafka-go's protocol layer.
//
// A Client is one process's way to a cluster. Consume joins the consumer
// group and runs one chain for each partition it is given; the chain asks its
// Assignment where to begin, reads batches with a Fetcher, and hands every outcome
// to a Sink, which also moves the committed position.
//
// Chasing a record that was skipped or read twice? Read Fetcher.Next, then
// the package recordset.
// Changing what happens in a rebalance or at shutdown? Read Consume.
// Wondering why nothing is emitted twice? Read pipeline/docs/exactly-once.md,
// then Assignment.Sink and the package txn.
// Wondering whether an error is retried? Read classify.
// Need a broker? embedded is one in this process, kafkatest starts Apache
// Kafka for tests.
//
// What is not obvious:
//   - kafka-go's Reader and its decoder are never used: see package recordset.
//   - kafka-go knows OffsetFetch only without require_stable: see
//     offsetExchange.
//   - kafka-go's Client.Heartbeat never reports an error: see
//     heartbeatExchange.
//   - The transport's cluster layout is up to metadataTTL old, so "unknown
//     topic" right after a topic was created is transient.
//   - A generation's end stops kafka-go's heartbeats; ours go on until the
//     handlers have returned.
package kafka
