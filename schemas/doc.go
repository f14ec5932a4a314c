// Package schemas holds every shape that crosses a boundary: the posts that
// come in, the results, cluster events and dead letters that go out, and the
// Arrow batch that flows between the stages. It imports nothing of ours.
//
// Adding a column? Read columns.go, then the stage that writes it.
// Changing what goes out? Read Result, then the JSON Schema files beside it.
// Wondering who owns a batch's memory? Read Batch.
package schemas
