package jpeg

import "slices"

// Plain says that libjpeg-turbo makes of the file what Decode makes of it, but for damage in its data: the file is sequential in
// one scan, its planes are enlarged in one of the usual ways, its quantization fits the vector units, and whatever Decode asks
// of headers and tables holds. It leaves p as it was.
func (p *Picture) Plain() bool {
	if p.progressive || !p.usual() {
		return false
	}
	seen := *p
	seen.Components = slices.Clone(p.Components)
	if _, err := seen.readScanHeader(); err != nil || !seen.complete() {
		return false
	}
	for i := range seen.Components {
		for _, q := range seen.Components[i].decoded {
			if q > 255 {
				return false
			}
		}
	}
	return true
}

// usual looks at how planes lie to each other.
func (p *Picture) usual() bool {
	if len(p.Components) == 4 {
		return false
	}
	for i := range p.Components {
		c := &p.Components[i]
		switch wide, high := p.maxH/c.H, p.maxV/c.V; {
		case wide == 1 && high == 1, i > 0 && wide == 2 && high <= 2:
		default:
			return false
		}
	}
	return true
}

// measure adds a block to Energy.
func (p *Picture) measure(c *Component, coefs *block) {
	energy := 0.0
	for i, v := range coefs {
		product := float64(int32(v) * c.decoded[i])
		energy += product * product
	}
	p.Energy = max(p.Energy, energy)
}
