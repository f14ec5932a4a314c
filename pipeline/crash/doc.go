// Command crash runs the pipeline, breaks it in every way it can think of,
// and has an oracle count what is lost, repeated, out of order or folded
// wrongly. Run it by make crash and make crash-real; --help has the flags.
//
// One run has a Kafka, a Redis, a slow image host, two workers that are
// processes of their own, and a plan of disturbances that its seed decides:
// workers that kill themselves at a crash point or are killed anywhere,
// workers that sleep longer than their session, brokers and Redis servers
// killed, Redis's append-only file cut, connections that stall.
//
// What can go wrong? plan.go. Who does it? run.go.
// What runs as a process? worker.go, broker.go, and package session.
// Who judges? Package oracle, which knows nothing of the pipeline.
package main
