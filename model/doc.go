// Package model opens a bundle, the immutable folder of graphs, vocabulary and
// numbers that turn a text and an image into a relation, and runs it.
//
// Changing what a bundle says of itself? Read Manifest, then Manifest.check.
// Changing how images share graph runs? Read See. Texts? Read readTexts.
// Changing what is remembered of earlier texts? Read remembered; of earlier images: package stages/media.
// Chasing a wrong score? Replay the bundle's golden.json (TestGolden), then
// compare ids, pixels and logits in this order.
// Using another engine than ONNX Runtime? See package runtime, the only one
// that knows it.
package model
