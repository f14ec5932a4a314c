// Package recordset reads and writes Kafka's record batches (version 2, the
// only one since Kafka 0.11; https://kafka.apache.org/documentation/#recordbatch).
//
// kafka-go's own decoder forgets where a batch ends, which a compacted topic
// needs to know, copies each record twice, and unpacks whole batches whatever
// their size. Here a batch knows its end, a record is a view that lives until the next one, and
// nothing hostile makes it allocate more than the limits it was given.
//
// Chasing a record that came out wrong? Read Records.Next.
// Writing with a producer's id and sequence? Read Encode.
// Wondering what a codec may allocate? Read decompress.go.
package recordset
