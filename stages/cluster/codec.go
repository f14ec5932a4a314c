package cluster

import (
	"encoding/binary"
	"math"
	"slices"
)

func appendFloat64(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendInt64(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(n)) //nolint:gosec // a bit pattern
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFloats(b []byte, xs []float32) []byte {
	b = slices.Grow(b, 4*len(xs))
	to := b[len(b) : len(b)+4*len(xs)]
	for i, x := range xs {
		binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(x))
	}
	return b[:len(b)+len(to)]
}

// decoder reads little-endian values until the first fault, which stays; what
// it returns after that is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	d.err = errFormat
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n < 0 || len(d.b) < n {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) tag(t *[TagSize]byte) { copy(t[:], d.take(TagSize)) }

func (d *decoder) format(want byte) {
	if d.byte() != want {
		d.fail()
	}
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.byte()
	if v > 1 {
		d.fail()
	}
	return v == 1
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) int64() int64 { return int64(d.uint64()) } //nolint:gosec // a bit pattern

// finite keeps NaN and infinities out of the arithmetic, where they would
// spread.
func (d *decoder) finite(f float64) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		d.fail()
		return false
	}
	return true
}

func (d *decoder) float32() float32 {
	f := math.Float32frombits(d.uint32())
	if !d.finite(float64(f)) {
		return 0
	}
	return f
}

func (d *decoder) float64() float64 {
	f := math.Float64frombits(d.uint64())
	if !d.finite(f) {
		return 0
	}
	return f
}

func (d *decoder) floats(n int) []float32 {
	b := d.take(4 * n)
	if b == nil {
		return nil
	}
	xs := make([]float32, n)
	for i := range xs {
		xs[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if !d.finite(float64(xs[i])) {
			return nil
		}
	}
	return xs
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string(limit int) string {
	n := d.uvarint()
	if n > uint64(limit) { //nolint:gosec // a small constant
		d.fail()
		return ""
	}
	return string(d.take(int(n))) //nolint:gosec // bounded above
}

// end reports the first fault, or bytes left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	return d.err
}
