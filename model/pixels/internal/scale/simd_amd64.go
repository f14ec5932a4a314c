//go:build cgo

package scale

// #include "simd_amd64.h"
// #cgo noescape scale_rows_avx2
// #cgo nocallback scale_rows_avx2
// #cgo noescape scale_rows_avx512
// #cgo nocallback scale_rows_avx512
// #cgo noescape scale_columns_avx2
// #cgo nocallback scale_columns_avx2
// #cgo noescape scale_columns_avx512
// #cgo nocallback scale_columns_avx512
import "C"

import (
	"slices"
	"sync"
	"unsafe"
)

// best is what this processor has.
var best = kernel(C.scale_best_kernel())

// scaleFourRows leaves spans from whole on undone in the last row.
func scaleFourRows(dst, src []uint8, rows, whole int, p *fourRows) {
	C.scale_rows_avx2((*C.uint8_t)(unsafe.SliceData(dst)), (*C.uint8_t)(unsafe.SliceData(src)),
		C.size_t(len(src)/rows), C.int(rows), C.int(len(p.from)), C.int(whole),
		(*C.int32_t)(unsafe.SliceData(p.from)), (*C.int16_t)(unsafe.SliceData(p.taps)), C.int(p.groups))
}

// rooms are where AVX-512 keeps the pixels of sixteen rows.
var rooms = sync.Pool{New: func() any { return new([]uint8) }}

func scaleSixteenRows(dst, src []uint8, rows int, p *sixteenRows) {
	room := rooms.Get().(*[]uint8)
	defer rooms.Put(room)
	*room = slices.Grow((*room)[:0], 12*rowsAtOnce*p.all+63)
	C.scale_rows_avx512((*C.uint8_t)(unsafe.SliceData(dst)), (*C.uint8_t)(unsafe.SliceData(src)),
		C.size_t(len(src)/rows), C.int(rows), C.int(len(p.from)), C.int(p.first), C.int(p.all),
		(*C.int32_t)(unsafe.SliceData(p.from)), (*C.int32_t)(unsafe.SliceData(p.quads)), (*C.int8_t)(unsafe.SliceData(p.digits)),
		(*C.uint8_t)(unsafe.SliceData(*room)))
}

func scaleColumns(k kernel, dst []uint8, sums []int32, rows []uint8, taps []int32, first bool) {
	to, at, columns := (*C.uint8_t)(unsafe.SliceData(dst)), (*C.int32_t)(unsafe.SliceData(sums)), C.size_t(len(sums))
	from, shares, count := (*C.uint8_t)(unsafe.SliceData(rows)), (*C.int32_t)(unsafe.SliceData(taps)), C.int(len(taps))
	begin := C.int(0)
	if first {
		begin = 1
	}
	if k == avx512 {
		C.scale_columns_avx512(to, at, columns, from, shares, count, begin)
	} else {
		C.scale_columns_avx2(to, at, columns, 0, from, shares, count, begin)
	}
}
