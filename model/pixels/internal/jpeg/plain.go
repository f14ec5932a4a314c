package jpeg

import "slices"

// Outline is what has to be known of a file before libjpeg-turbo is handed it.
type Outline struct {
	Scans        int   // of a progressive file, else 0
	Coefficients int64 // bytes that a progressive file takes for them
}

// Plain says that libjpeg-turbo makes of the file what Decode makes of it, but for damage in its data: it is sequential in one
// scan, or progressive; its planes are enlarged in one of the usual ways; its quantization fits the vector units; and whatever
// Decode asks of headers and tables holds, up to the last scan's. It leaves p as it was.
func (p *Picture) Plain() (o Outline, plain bool) {
	if !p.usual() {
		return Outline{}, false
	}
	seen := *p
	seen.Components = slices.Clone(p.Components)
	if err := seen.skipScans(); err != nil || !seen.complete() {
		return Outline{}, false
	}
	for i := range seen.Components {
		c := &seen.Components[i]
		for _, q := range c.decoded {
			if q > 255 {
				return Outline{}, false
			}
		}
		if p.progressive {
			o.Coefficients += int64(c.wide) * int64(c.high) * blockSamples * 2
		}
	}
	if p.progressive {
		o.Scans = seen.scans
	}
	return o, true
}

// skipScans reads all that stands between the data of scans; of a sequential file, the first scan's header.
func (p *Picture) skipScans() error {
	for {
		if _, err := p.readScanHeader(); err != nil || !p.progressive {
			return err
		}
		// What looks for the next marker passes over data.
		if marker, err := p.readTables(); err != nil || marker == markerEOI {
			return err
		}
	}
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
