// Package model opens a bundle, the immutable folder of graphs, vocabulary and
// numbers that turn a text and an image into a relation, and runs it.
//
// Changing what a bundle says of itself? Read Manifest, then Manifest.check.
// Changing how a run is cut into graph runs? Read Encode.
// Chasing a wrong score? Replay the bundle's golden.json (TestGolden), then
// compare ids, pixels and logits in this order.
// Using another engine than ONNX Runtime? See package runtime, the only one
// that knows it.
package model
