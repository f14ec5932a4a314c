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

// examine is sequential without its samples.
func (s *scan) examine(c *Component, _, _ int) {
	r := &s.bits
	table, quant := c.ac, c.zigzagged
	dc := int64(s.nextDC(c)) * int64(quant[0])
	energy := dc * dc
	for k := 1; k < blockSamples; k++ {
		r.need(32)
		var v int32
		if fast := table.value[r.bits>>(64-fastBits)]; fast != 0 {
			k += int(fast >> 4 & 15)
			r.skip(int(fast & 15))
			v = int32(fast >> 8)
		} else {
			symbol := r.symbol(table)
			run, size := int(symbol>>4), int(symbol&15)
			if size == 0 {
				if run < 15 {
					break
				}
				k += 15
				continue
			}
			k += run
			v = extend(r.take(size), size)
		}
		if k >= blockSamples {
			r.bad = true
			break
		}
		v *= quant[k]
		energy += int64(v) * int64(v)
	}
	// The square of a larger dc may have wrapped round.
	if energy > maxEnergy || dc > maxEnergy || dc < -maxEnergy {
		s.p.beyond = true
	}
}
