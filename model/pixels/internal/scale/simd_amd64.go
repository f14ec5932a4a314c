//go:build cgo

package scale

// #include "simd_amd64.h"
// #cgo noescape scale_rows
// #cgo nocallback scale_rows
// #cgo noescape scale_columns
// #cgo nocallback scale_columns
import "C"

import "unsafe"

// best is what this processor has.
var best = kernel(C.scale_best_kernel())

// scaleRows leaves spans from whole on undone in the last row.
func scaleRows(k kernel, dst, src []uint8, rows, whole int, p *plan) {
	C.scale_rows(C.int(k), (*C.uint8_t)(unsafe.SliceData(dst)), (*C.uint8_t)(unsafe.SliceData(src)),
		C.size_t(len(src)/rows), C.int(rows), C.int(len(p.from)), C.int(whole),
		(*C.int32_t)(unsafe.SliceData(p.from)), (*C.int16_t)(unsafe.SliceData(p.taps)), C.int(p.groups))
}

func scaleColumns(k kernel, dst []uint8, sums []int32, rows []uint8, taps []int32, first bool) {
	begin := C.int(0)
	if first {
		begin = 1
	}
	C.scale_columns(C.int(k), (*C.uint8_t)(unsafe.SliceData(dst)), (*C.int32_t)(unsafe.SliceData(sums)), C.size_t(len(sums)),
		(*C.uint8_t)(unsafe.SliceData(rows)), (*C.int32_t)(unsafe.SliceData(taps)), C.int(len(taps)), begin)
}
