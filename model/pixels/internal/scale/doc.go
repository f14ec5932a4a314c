// Package scale weighs samples and adds them up: the inner loops of scaling a picture, in 22-bit fixed point as Pillow has it.
//
// The Go code in scale.go is what is meant. Where cgo and the processor allow, C does the same with vectors, and sums are equal to
// the last bit: all arithmetic is that of 32-bit integers, which is exact, or wraps, in any order. C is handed memory and sizes
// that Go has checked, and nothing to parse.
//
// How vectors are fed, and why nothing beyond the picture is read? Read plan.go, then avx2_amd64.c and avx512_amd64.c.
package scale
