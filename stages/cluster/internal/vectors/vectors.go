package vectors

// #cgo CFLAGS: -std=c11 -O3
// #cgo LDFLAGS: -lm
// #cgo noescape vectors_nearest
// #cgo nocallback vectors_nearest
// #cgo noescape vectors_norms
// #cgo nocallback vectors_norms
// #cgo noescape vectors_add
// #cgo nocallback vectors_add
// #cgo noescape vectors_move
// #cgo nocallback vectors_move
// #include "vectors.h"
import "C"

import "unsafe"

// kernel is one of the forms in which the arithmetic is there.
type kernel C.int

// kernels are those that this processor can run, the widest last.
var kernels = func() (ks []kernel) {
	for k := range kernel(C.kernels) {
		if C.vectors_has(C.int(k)) != 0 {
			ks = append(ks, k)
		}
	}
	return ks
}()

var widest = kernels[len(kernels)-1]

// Matrix holds vectors of one width in one piece of memory.
type Matrix struct {
	Values []float32
	Dim    int
}

// Len returns how many there are.
func (m Matrix) Len() int { return len(m.Values) / m.Dim }

// At returns vector i, a view.
func (m Matrix) At(i int) []float32 { return m.Values[i*m.Dim : (i+1)*m.Dim : (i+1)*m.Dim] }

// Norms returns ‖x‖² of each vector.
func (m Matrix) Norms() []float32 { return widest.norms(m) }

func (k kernel) norms(m Matrix) []float32 {
	norms := make([]float32, m.Len())
	C.vectors_norms(C.int(k), first(m.Values), C.int(m.Dim), C.int(len(norms)), first(norms))
	return norms
}

// Norm returns ‖x‖², as Norms does.
func Norm(x []float32) float32 { return Matrix{x, len(x)}.Norms()[0] }

// Add adds x to sum, which has its width.
func Add(sum []float64, x []float32) { widest.add(sum, x) }

func (k kernel) add(sum []float64, x []float32) {
	C.vectors_add(C.int(k), (*C.double)(unsafe.SliceData(sum)), first(x), C.int(len(x)))
}

// Move returns (sum + by·old) ÷ weight. A nil old counts nothing.
func Move(sum []float64, old []float32, by, weight float64) []float32 {
	return widest.move(sum, old, by, weight)
}

func (k kernel) move(sum []float64, old []float32, by, weight float64) []float32 {
	mean := make([]float32, len(sum))
	C.vectors_move(C.int(k), first(mean), (*C.double)(unsafe.SliceData(sum)), first(old), C.double(by), C.double(weight), C.int(len(sum)))
	return mean
}

func first(x []float32) *C.float { return (*C.float)(unsafe.SliceData(x)) }
