// Package txn is Kafka's transactional producer, over kafka-go's protocol
// layer: what a batch produces and the offset behind it become visible
// together, or never.
//
// Open fences whoever used the transactional id before and settles what he
// left pending. Begin, Join, the batches that Options stamps, Offsets and End
// are one transaction, in this order.
//
// Wondering whether an error is retried? Read later, then Producer.ask.
// Changing what is sent? The requests are kafka-go's; Kafka's protocol guide
// (https://kafka.apache.org/protocol) and KIP-98, KIP-360 and KIP-447 say what they mean.
// Looking for the argument that this is right? pipeline/docs/exactly-once.md.
//
// What is not obvious:
//   - A request that got no answer is never sent again under the same epoch: a
//     late copy of it could land in the next transaction. EndTxn would commit
//     half of that one, TxnOffsetCommit would set its offset back. Only batches
//     may be repeated, for their sequence numbers tell. After anything else the
//     producer is opened again, and the new epoch keeps all late copies out.
//   - After EndTxn the coordinator still writes markers, so that the next
//     transaction's first request is told CONCURRENT_TRANSACTIONS for a moment.
//   - Since Kafka 3.6 a partition's leader asks the coordinator whether a batch
//     belongs to a transaction, and since 3.8 so does the group about an offset.
//     While the coordinator notes something down, or when two questions about one
//     transaction meet in a broker, the answer is NOT_ENOUGH_REPLICAS: so send one
//     Produce request to each broker, and Offsets after all of them.
//   - kafka-go would send TxnOffsetCommit without generation and member to a
//     broker from before 2.5, which then takes it from anybody: see
//     toBroker.
package txn
