package jpeg

import "slices"

// maxEnergy bounds the sum of the squares of a block's coefficients. A transform in 16-bit lanes holds up to here: its first
// pass enlarges a column at most by 4·√8, and adds two columns in a lane, so 16 times the root must fit. Samples of eight bits
// have a quarter of it, and what quantizing adds to them.
const maxEnergy = 2047 * 2047

// Examine reads the picture's data as Decode does, to the same errors, without making samples of it. It leaves p as it was.
//
// plain says that every careful decoder makes the same picture of the file: it is sequential in one scan, its planes
// are enlarged in one of the usual ways, and no block is beyond what eight bits can be the origin of. Where it is not plain
// there is no verdict either: the error is nil, and only Decode tells. It takes no memory for the picture.
func (p *Picture) Examine() (plain bool, err error) {
	if !p.usual() {
		return false, nil
	}
	seen := *p
	seen.Components = slices.Clone(p.Components)
	seen.examining = true
	for i := range seen.Components {
		seen.Components[i].zigzagged = new([blockSamples]int32)
	}
	if err := seen.readScan(); err != nil {
		return false, err
	}
	return seen.complete() && !seen.beyond, nil
}

// usual looks at the header alone, and at the number of components in the first scan's.
func (p *Picture) usual() bool {
	if p.progressive || len(p.Components) == 4 || p.pos+2 >= len(p.data) || int(p.data[p.pos+2]) != len(p.Components) {
		return false
	}
	for i := range p.Components {
		c := &p.Components[i]
		switch wide, high := p.maxH/c.H, p.maxV/c.V; {
		case wide == 1 && high == 1, i > 0 && wide == 2 && high <= 2:
		default:
			return false
		}
		quant := p.quant[c.quant]
		if quant == nil {
			return false
		}
		for _, q := range quant {
			if q > 255 {
				return false
			}
		}
	}
	return true
}

// examine is sequential without its samples. The reader's bits are kept in registers: where they come from memory each time,
// this takes as long as libjpeg with everything that it does.
func (s *scan) examine(c *Component, _, _ int) {
	r := &s.bits
	table, quant := c.ac, c.zigzagged
	dc := int64(s.nextDC(c)) * int64(quant[0])
	energy := dc * dc
	bits, n := r.bits, r.n
	for k := 1; k < blockSamples; k++ {
		if n < fastBits {
			r.bits, r.n = bits, n
			r.fill()
			bits, n = r.bits, r.n
		}
		var v int64
		if fast := table.value[bits>>(64-fastBits)]; fast != 0 {
			k += int(fast >> 4 & 15)
			bits <<= fast & 15
			n -= int(fast & 15)
			v = int64(fast >> 8)
		} else {
			r.bits, r.n = bits, n
			r.need(32)
			symbol := r.symbol(table)
			run, size := int(symbol>>4), int(symbol&15)
			if size > 0 {
				v = int64(extend(r.take(size), size))
			}
			bits, n = r.bits, r.n
			if size == 0 {
				if run < 15 {
					break
				}
				k += 15
				continue
			}
			k += run
		}
		if k >= blockSamples {
			r.bad = true
			break
		}
		v *= int64(quant[k])
		energy += v * v
	}
	r.bits, r.n = bits, n
	// The square of a larger dc may have wrapped round.
	if energy > maxEnergy || dc > maxEnergy || dc < -maxEnergy {
		s.p.beyond = true
	}
}
