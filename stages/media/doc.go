// Package media turns the images of a batch into the pixels that the model reads: it takes each pair's bytes from the post,
// or fetches them, and decodes and scales them into one Arrow column.
//
// Changing what counts against a host? That is the Fetcher's business: connectors/media.
// Changing how an image is read or scaled? model/pixels.
// Adding a way to fail? Give it a schemas.Reason, then see failureOf.
// Wondering what bounds the memory? Read Config.
// Met an image that does harm? Add it to a recipes_*_test.go.
package media
