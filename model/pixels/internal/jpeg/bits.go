package jpeg

import (
	"encoding/binary"
)

const (
	fastBits = 9 // codes up to this long are found by one look
	maxCode  = 16
)

// huffman is a table of T.81 annex C, laid out for decoding.
type huffman struct {
	// short holds length<<8 | symbol for every 9 bits that begin with a short code, and 0 otherwise.
	short [1 << fastBits]uint16
	// value holds, for AC tables, value<<8 | run<<4 | length where code and coefficient fit 9 bits together, and else 0.
	value [1 << fastBits]int16

	symbols []uint8
	// A 16-bit look below limit[n] is a code of at most n bits, and the symbol of one of exactly n is at base[n] + code.
	limit [maxCode + 1]uint32
	base  [maxCode + 1]int32
}

func newHuffman(s []byte, ac bool) (h *huffman, size int, err error) {
	if len(s) < maxCode {
		return nil, 0, corrupt("a Huffman table is cut short")
	}
	total := 0
	for _, n := range s[:maxCode] {
		total += int(n)
	}
	if total > 256 || len(s) < maxCode+total {
		return nil, 0, corrupt("a Huffman table of %d codes is cut short", total)
	}
	h = &huffman{symbols: s[maxCode : maxCode+total]}
	if !ac {
		for _, symbol := range h.symbols {
			if symbol > 15 {
				return nil, 0, corrupt("a Huffman table holds DC size %d", symbol)
			}
		}
	}
	code, index := uint32(0), int32(0)
	for n := 1; n <= maxCode; n++ {
		h.base[n] = index - int32(code)
		for range s[n-1] {
			if code >= 1<<n {
				return nil, 0, corrupt("a Huffman table holds more codes of %d bits than there are", n)
			}
			if n <= fastBits {
				h.addShort(code, n, h.symbols[index], ac)
			}
			code++
			index++
		}
		h.limit[n] = code << (maxCode - n)
		code <<= 1
	}
	return h, maxCode + total, nil
}

func (h *huffman) addShort(code uint32, length int, symbol uint8, ac bool) {
	free := fastBits - length
	for rest := range uint32(1) << free {
		look := code<<free | rest
		h.short[look] = uint16(length)<<8 | uint16(symbol) //nolint:gosec // length is at most 9
		run, size := int16(symbol>>4), int(symbol&15)
		if !ac || size == 0 || size > free {
			continue
		}
		v := extend(rest>>(free-size), size)
		if v >= -128 && v <= 127 {
			h.value[look] = int16(v)<<8 | run<<4 | int16(length+size) //nolint:gosec // length+size is at most 9
		}
	}
}

// extend is T.81's EXTEND: the sign of a coefficient is its leading bit.
func extend(bits uint32, size int) int32 {
	v := int32(bits) //nolint:gosec // at most 16 bits
	if v < 1<<(size-1) {
		v -= 1<<size - 1
	}
	return v
}

// bitReader reads entropy-coded data. It never fails in the middle of things: behind the end, and behind a marker, it reads
// zeros, and a code that does not exist is the symbol 0; scan.damage tells afterwards.
type bitReader struct {
	data []byte
	pos  int
	// bits holds n bits, the next one on top. More may lie below them: they are read again, and equal.
	bits uint64
	n    int
	// zeros of the n bits were made up.
	zeros int
	// atMarker: a marker follows, or the end. Who looks again for each byte made up passes over a long run of 0xff as often.
	atMarker bool
	bad      bool
}

// fill makes at least 48 bits ready: enough for a code and its coefficient.
func (r *bitReader) fill() {
	if r.pos+8 <= len(r.data) {
		next := binary.BigEndian.Uint64(r.data[r.pos:])
		if !holdsFF(next) {
			r.bits |= next >> r.n
			r.pos += (63 - r.n) >> 3
			r.n |= 56
			return
		}
	}
	r.fillBytes()
}

// holdsFF looks at eight bytes at once.
func holdsFF(v uint64) bool {
	const low, high = 0x0101010101010101, 0x8080808080808080
	return (^v-low)&v&high != 0
}

func (r *bitReader) fillBytes() {
	for r.n <= 56 {
		var next byte
		switch {
		case r.atMarker || r.pos >= len(r.data):
			r.zeros += 8
		case r.data[r.pos] != 0xff:
			next = r.data[r.pos]
			r.pos++
		default:
			// Any number of 0xff may stand before a marker; a zero behind them makes the last one data.
			at := r.pos + 1
			for at < len(r.data) && r.data[at] == 0xff {
				at++
			}
			if at < len(r.data) && r.data[at] == 0 {
				next = 0xff
				r.pos = at + 1
			} else {
				r.atMarker = true
				r.zeros += 8
			}
		}
		r.bits |= uint64(next) << (56 - r.n)
		r.n += 8
	}
}

func (r *bitReader) need(n int) {
	if r.n < n {
		r.fill()
	}
}

func (r *bitReader) skip(n int) {
	r.bits <<= n & 63
	r.n -= n
}

// take reads 1 to 16 bits that need has made ready.
func (r *bitReader) take(n int) uint32 {
	v := uint32(r.bits >> (64 - n&63)) //nolint:gosec // at most 16 bits
	r.skip(n)
	return v
}

// symbol decodes one code that need has made ready.
func (r *bitReader) symbol(h *huffman) uint8 {
	if s := h.short[r.bits>>(64-fastBits)]; s != 0 {
		r.skip(int(s >> 8))
		return uint8(s) //nolint:gosec // the lower half is meant
	}
	return r.longSymbol(h)
}

func (r *bitReader) longSymbol(h *huffman) uint8 {
	look := uint32(r.bits >> (64 - maxCode))
	for n := fastBits + 1; n <= maxCode; n++ {
		if look < h.limit[n] {
			r.skip(n)
			return h.symbols[h.base[n]+int32(look>>(maxCode-n))] //nolint:gosec // 16 bits
		}
	}
	r.bad = true
	r.skip(maxCode)
	return 0
}
