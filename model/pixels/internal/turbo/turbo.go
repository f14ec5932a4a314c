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

// Decoder reads one file from its top. It is for one goroutine, and holds memory of C until it is closed.
type Decoder struct {
	decoder *C.struct_turbo_decoder
	pin     runtime.Pinner // the file, which C looks at from call to call
	width   int
	left    int // rows
}

// Open returns nil for a file that is refused. Of a progressive file it reads everything.
func Open(f File) *Decoder {
	if !f.valid() {
		return nil
	}
	d := new(Decoder)
	d.width, d.left = f.Size()
	data := unsafe.SliceData(f.Data)
	d.pin.Pin(data)
	d.decoder = C.turbo_open(&C.struct_turbo_file{
		data: (*C.uchar)(data), size: C.ulong(len(f.Data)),
		width: C.int(f.Width), height: C.int(f.Height), colours: C.int(f.Colours),
		scans: C.int(f.Scans), coefficients: C.long(f.Coefficients), denominator: C.int(f.Denominator),
	})
	if d.decoder == nil {
		d.pin.Unpin()
		return nil
	}
	return d
}

// Read fills pix with the next rows, RGB, and says whether the file has them. If not, pix holds anything, and all that is left
// to do is to close.
func (d *Decoder) Read(pix []byte) bool {
	rows := len(pix) / (3 * d.width)
	if rows < 1 || rows > d.left || len(pix) != 3*d.width*rows {
		return false
	}
	d.left -= rows
	return C.turbo_read(d.decoder, (*C.uchar)(unsafe.SliceData(pix)), C.int(rows)) == 1
}

// Close gives all memory back. It must be called once.
func (d *Decoder) Close() {
	C.turbo_close(d.decoder)
	d.pin.Unpin()
}
