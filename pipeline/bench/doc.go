// Command bench measures the pipeline against what the machine allows and
// against peers: on a real Apache Kafka and redis-server, and always as a ratio
// of two figures taken in the same run, one after the other.
//
//	make bench                                all parts but soak and growth
//	make bench ARGS='--quick --only peers'    one part, in short
//
// Wondering what a part measures? Each has a file: limit.go, peers.go,
// gopeer.go, latency.go, parts.go, soak.go, growth.go.
// Adding a line to the table? Call table.add, once a repetition.
// Looking for what is read? photos.go draws the images, posts.go writes the
// posts.
// Tuning a peer? peer_python is a program of its own, with pinned requirements;
// gopeer.go is the plain Go program that the stubbed runs are compared with.
//
// Rates come from the offsets that a consumer group commits, which costs the
// same whoever is measured; processor time and memory come from the kernel.
package main
