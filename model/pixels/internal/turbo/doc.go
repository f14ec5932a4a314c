// Package turbo decodes JPEG files by libjpeg-turbo, in builds with the tag libjpegturbo; others have nothing here.
//
// It gives pixels and no verdicts: what it takes for damaged, or merely odd, Decode refuses, and package jpeg says what it is.
// The caller has read the file's header, and checked it against its limits.
//
// Changing what the library is asked for? Read decode.c.
package turbo

// Colours are what a file's components are.
type Colours int

// What Decode takes.
const (
	Grey Colours = iota
	YCbCr
	RGB
)
