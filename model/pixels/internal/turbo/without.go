//go:build !libjpegturbo

package turbo

// Version is empty: this build is without the library.
const Version = ""

// Decode refuses every file.
func Decode(_ []byte, _ []byte, _, _ int, _ Colours) bool { return false }
