// Package turbo decodes JPEG files by libjpeg-turbo, in builds with the tag libjpegturbo; others have nothing here.
//
// It gives pixels and no verdicts: what it takes for damaged, or merely odd, it refuses, and package jpeg says what it is.
// The caller has read the headers of the file, and checked it against its limits.
//
// Libraries of version 2.1.5 want the upstream fix of issue 649 (2.1.5.1; Debian's 2.1.5-2 has it): without it, a processor that lacks
// AVX2 stops the program when a picture's goroutine moves to another thread between two reads.
//
// Changing what the library is asked for? Read decode.c.
package turbo

// Colours are what a file's components are.
type Colours int

// What Open takes.
const (
	Grey Colours = iota
	YCbCr
	RGB
)

// File is a JPEG and what our own reading of its headers has found; a library that finds otherwise is not believed.
type File struct {
	Data          []byte
	Width, Height int
	Colours       Colours
	Scans         int   // of a progressive file, else 0
	Coefficients  int64 // bytes that a progressive file takes for them
	// Denominator is 1, 2, 4 or 8: sides are divided by it, and rounded up.
	Denominator int
}

// Size is that of the pixels which Read gives.
func (f File) Size() (width, height int) {
	return (f.Width + f.Denominator - 1) / f.Denominator, (f.Height + f.Denominator - 1) / f.Denominator
}

func (f File) valid() bool {
	return len(f.Data) > 0 && f.Width > 0 && f.Height > 0 && f.Denominator > 0
}
