// Package scale weighs samples and adds them up: the inner loops of scaling a picture, in 22-bit fixed point as Pillow has it.
//
// The Go code in scale.go is what is meant. Where cgo and the processor allow, C does the same with vectors (kernels.h), and
// sums are equal to the last bit: all arithmetic is that of 32-bit integers, which is exact, or wraps, in any order. C is handed
// memory and sizes that Go has checked, and nothing to parse.
//
// How a kernel splits taps and why it never reads beyond the picture? Read Rows, then kernels.h.
package scale
