//go:build libjpegturbo

package turbo

// #cgo pkg-config: libjpeg
// #include "decode.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Version is that of the headers which this was built with.
const Version = C.TURBO_VERSION

// Decode writes the RGB pixels of a baseline file, 3·width·height bytes, and says whether it did. If not, pix holds anything.
// width, height and colours are what our own reading of the header has found; a library that finds others is not believed.
func Decode(pix, data []byte, width, height int, colours Colours) bool {
	if len(data) == 0 || width < 1 || height < 1 || len(pix) != 3*width*height {
		return false
	}
	// Both are memory without pointers, and C keeps neither.
	done := C.turbo_decode(
		(*C.uchar)(unsafe.SliceData(pix)), C.int(width), C.int(height), C.int(colours),
		(*C.uchar)(unsafe.SliceData(data)), C.ulong(len(data)))
	runtime.KeepAlive(pix)
	runtime.KeepAlive(data)
	return done == 1
}
