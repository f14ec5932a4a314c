// Package redrive sends dead letters back to the topics they came from: the
// original bytes, once.
//
// What counts as a dead letter, and what as the input's own headers? Read
// parse.
// Which dead letters are sent, and why not the others? Read Fate, then
// planner.
// Why is nothing sent twice? Read Execute, and below.
//
// # Once
//
// What was sent is written down in the dead-letter topic itself: beside the
// records that go back, each transaction writes a mark for each into the
// partition of its dead letter. A crash leaves both or neither. Before anything
// is sent the transactional id is taken over, which ends whatever an earlier
// redrive has begun, and then the topic is read up to its end: every mark that
// can ever appear is there, and only letters without one are sent.
//
// Committed offsets could not do that: filters choose letters from the middle,
// and what they leave out must stay for another redrive. A mark comes later
// in its partition than its letter, so retention never takes it first.
//
// Kafka's transactions are only as good as their readers: who reads the source
// topics at read_uncommitted may see records of an aborted redrive, too.
// Brokers that are set to delete transactional ids (transactional.id.expiration.ms)
// do no harm.
//
// # Attempts
//
// A record that is sent back carries how often it was, and which dead letter
// it comes from. When it fails again its new dead letter carries the same
// headers, like all of the input's own, so the chain can be followed and is cut
// after MaxAttempts.
package redrive
