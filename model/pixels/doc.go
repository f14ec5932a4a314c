// Package pixels turns image files into the uint8 tensors that a bundle was trained with.
//
// Decode gives what Pillow's Image.open(file).convert("RGB") gives, Transform.Apply what its resize gives: a model was
// trained on those pixels, and an image decoded or scaled in another way is, to it, another image. testdata/README.md says
// how the equality is measured. Drawing.Draw does both at once, in less memory.
//
// Adding a format? Add its magic to Decode and a file beside png.go; check every size that the file declares against Limits
// before memory is taken for it, and have Room say what it takes.
// Changing how pixels are scaled? Read Transform, then resample.go.
// Wondering which JPEGs libjpeg-turbo decodes, in builds that have it, and what damage it passes over? Read turboFile, then
// internal/jpeg/plain.go. All else has the pixels and errors of the Go decoder; FuzzJPEGTurbo compares them.
// Chasing wrong colours? Read colour.go (JPEG), webp.go, or the table in png.go.
//
// Everything here reads foreign bytes: no input may panic, and no input may take memory beyond its Limits.
package pixels
