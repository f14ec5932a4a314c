// Command bench measures the pipeline against what the machine allows and
// against peers: on a real Apache Kafka and redis-server, and always as a ratio
// of two figures taken in the same run, one after the other.
//
//	make bench                                all parts that are not only run when asked for, under 30 minutes
//	make bench ARGS='--quick --only peers'    one part, in short
//
// Wondering what a part measures? Each has a file: limit.go, peers.go,
// gopeer.go, latency.go, parts.go, profile.go, soak.go, growth.go, gpu.go.
// Adding a line to the table? Call table.add, once a repetition; a goal of the
// project's also stands in goals.go.
// Wondering what the machine allows? loop.go is the bare loop.
// Changing the pages? report.go fills them, capacity.go computes; make
// bench-report runs both. A test holds the pages to the figures.
// At a GPU without network? gpu.sh.
// Looking for what is read? photos.go draws the images, posts.go writes the
// posts.
// Tuning a peer? peer_python is a program of its own, with pinned requirements;
// gopeer.go is the plain Go program that the stubbed runs are compared with.
//
// Rates come from the offsets that a consumer group commits, which costs the
// same whoever is measured; processor time and memory come from the kernel.
package main
