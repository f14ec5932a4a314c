// Package media turns the images of a batch into what the model sees in them: it takes each pair's bytes from the post, or
// fetches them, decodes and scales them, and shows the pixels to the model's image tower, whose vectors are one Arrow column. The
// same bytes are worked on once.
//
// Changing what counts against a host? That is the Fetcher's business: connectors/media.
// Changing how an image is read or scaled? model/pixels.
// Changing what is remembered of earlier images? cache.go.
// Adding a way to fail? Give it a schemas.Reason, then see failureOf.
// Wondering what bounds the memory? Read Config.
// Met an image that does harm? Add it to a recipes_*_test.go.
package media
