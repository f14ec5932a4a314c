//go:build !libjpegturbo

package turbo

// Version is empty: this build is without the library.
const Version = ""

// Decoder is what no build without the library has.
type Decoder struct{}

// Open refuses every file.
func Open(_ File) *Decoder { return nil }

// Read has nothing to read.
func (*Decoder) Read(_ []byte) bool { return false }

// Close has nothing to give back.
func (*Decoder) Close() {}
