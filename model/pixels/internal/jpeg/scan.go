package jpeg

import "fmt"

// zigzag gives the natural position of the k-th coefficient (T.81 figure A.6).
var zigzag = [blockSamples]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// Decode decodes every scan into the planes. take provides their memory, of any content.
func (p *Picture) Decode(take func(size int) []uint8) error {
	for i := range p.Components {
		c := &p.Components[i]
		c.Pix = take(c.Stride * c.high * blockSide)
		if p.progressive {
			c.coefs = make([]block, c.wide*c.high)
		}
	}
	for {
		if err := p.readScan(); err != nil {
			return err
		}
		if !p.progressive && p.complete() {
			// What follows the last sample does not matter; not even an EOI is missed.
			return nil
		}
		marker, err := p.readTables()
		if err != nil {
			return err
		}
		if marker == markerEOI {
			break
		}
	}
	if !p.progressive || !p.complete() {
		return corrupt("it ends before all components were seen")
	}
	for i := range p.Components {
		c := &p.Components[i]
		if p.Measure {
			for b := range c.coefs {
				p.measure(c, &c.coefs[b])
			}
		}
		c.reconstruct()
	}
	return nil
}

func (p *Picture) complete() bool {
	for i := range p.Components {
		if p.Components[i].decoded == nil {
			return false
		}
	}
	return true
}

// scan is one pass over some components.
type scan struct {
	p          *Picture
	components []*Component
	bits       bitReader

	// Of a progressive scan: the coefficients, and their bits, that it brings (T.81 annex G).
	first, last int
	high, low   int
	endOfBands  int32 // blocks still covered by an end-of-band run

	work block
}

func (p *Picture) readScan() error {
	s, err := p.readScanHeader()
	if err != nil {
		return err
	}
	s.bits = bitReader{data: p.data, pos: p.pos}
	if err := s.decode(); err != nil {
		return err
	}
	p.pos = s.bits.pos
	return nil
}

func (p *Picture) readScanHeader() (*scan, error) {
	if p.scans++; p.scans > maxScans {
		return nil, corrupt("it has more than %d scans", maxScans)
	}
	header, err := p.segment(markerSOS)
	if err != nil {
		return nil, err
	}
	if len(header) < 1 || header[0] < 1 || header[0] > 4 || len(header) != 4+2*int(header[0]) {
		return nil, corrupt("the header of scan %d has %d bytes", p.scans, len(header))
	}
	s := &scan{p: p}
	for spec := header[1 : len(header)-3]; len(spec) > 0; spec = spec[2:] {
		if err := s.add(spec[0], spec[1]>>4, spec[1]&15); err != nil {
			return nil, err
		}
	}
	parameters := header[len(header)-3:]
	s.first, s.last = int(parameters[0]), int(parameters[1])
	s.high, s.low = int(parameters[2]>>4), int(parameters[2]&15)
	return s, s.check()
}

func (s *scan) add(id, dc, ac uint8) error {
	if dc >= maxTables || ac >= maxTables {
		return corrupt("scan %d asks for Huffman tables %d and %d", s.p.scans, dc, ac)
	}
	for i := range s.p.Components {
		c := &s.p.Components[i]
		if c.ID != id {
			continue
		}
		for _, other := range s.components {
			if other == c {
				return corrupt("scan %d has component %d twice", s.p.scans, id)
			}
		}
		c.dc, c.ac = s.p.dc[dc], s.p.ac[ac]
		s.components = append(s.components, c)
		return nil
	}
	return corrupt("scan %d has a component %d that the frame lacks", s.p.scans, id)
}

func (s *scan) check() error {
	p := s.p
	needDC, needAC := true, true
	if p.progressive {
		needDC, needAC = s.first == 0 && s.high == 0, s.first > 0
		if s.first > s.last || s.last >= blockSamples || s.first == 0 && s.last > 0 || s.first > 0 && len(s.components) > 1 ||
			s.low > 13 || s.high > 0 && s.low != s.high-1 {
			return corrupt("scan %d brings coefficients %d to %d, bits %d to %d", p.scans, s.first, s.last, s.high, s.low)
		}
	}
	for _, c := range s.components {
		if p.progressive && !s.follows(c) {
			return corrupt("scan %d brings coefficients %d to %d, bits %d to %d, out of order", p.scans, s.first, s.last, s.high, s.low)
		}
		// As there: a component may come once, or a few bytes would have a large picture decoded again.
		if !p.progressive && c.decoded != nil {
			return corrupt("scan %d brings component %d again", p.scans, c.ID)
		}
		if needDC && c.dc == nil || needAC && c.ac == nil {
			return corrupt("scan %d uses a Huffman table that was not defined", p.scans)
		}
		// The table at a component's first scan counts; another may take its place later.
		if c.decoded == nil {
			if c.decoded = p.quant[c.quant]; c.decoded == nil {
				return corrupt("component %d uses quantization table %d, which was not defined", c.ID, c.quant)
			}
		}
	}
	return nil
}

// follows says whether the scan brings what comes next, and notes that it has come. Each bit of a coefficient may come once:
// otherwise a small file could pass over all coefficients of a large picture again and again.
func (s *scan) follows(c *Component) bool {
	for k := s.first; k <= s.last; k++ {
		if seen := c.seen[k]; seen.any != (s.high > 0) || seen.low != s.high {
			return false
		}
		c.seen[k] = seenBits{any: true, low: s.low}
	}
	return true
}

// decode goes through the MCUs: of several components, H×V blocks of each; of a single one, the block.
func (s *scan) decode() error {
	wide, high := s.p.mcusWide, s.p.mcusHigh
	if len(s.components) == 1 {
		wide, high = divideUp(s.components[0].Width, blockSide), divideUp(s.components[0].Height, blockSide)
	}
	decode := s.decoder()
	left := s.p.restart
	next := byte(markerRST0)
	for y := range high {
		for x := range wide {
			if s.p.restart > 0 {
				if left == 0 {
					if err := s.resume(next); err != nil {
						return err
					}
					left = s.p.restart
					next = markerRST0 | (next+1)&7
				}
				left--
			}
			if len(s.components) == 1 {
				decode(s.components[0], x, y)
				continue
			}
			for _, c := range s.components {
				for v := range c.V {
					for h := range c.H {
						decode(c, x*c.H+h, y*c.V+v)
					}
				}
			}
		}
		if err := s.damage(); err != nil {
			return fmt.Errorf("scan %d, in row %d of %d: %w", s.p.scans, y, high, err)
		}
	}
	for _, c := range s.components {
		c.prediction = 0
	}
	return nil
}

func (s *scan) decoder() func(c *Component, x, y int) {
	switch {
	case !s.p.progressive:
		return s.sequential
	case s.first == 0 && s.high == 0:
		return s.firstDC
	case s.first == 0:
		return s.refineDC
	case s.high == 0:
		return s.firstAC
	}
	return s.refineAC
}

// damage is what is wrong with the bits that were read.
func (s *scan) damage() error {
	switch {
	case s.bits.bad:
		return ErrCode
	case s.bits.zeros > s.bits.n:
		return errBreaksOff
	}
	return nil
}

// resume reads a restart marker and forgets what went before it.
func (s *scan) resume(want byte) error {
	if err := s.damage(); err != nil {
		return fmt.Errorf("scan %d, before a restart marker: %w", s.p.scans, err)
	}
	s.p.pos = s.bits.pos
	marker, err := s.p.nextMarker()
	if err != nil {
		return err
	}
	if marker != want {
		return corrupt("scan %d has marker %#x in place of restart marker %#x", s.p.scans, marker, want)
	}
	s.bits = bitReader{data: s.p.data, pos: s.p.pos}
	s.endOfBands = 0
	for _, c := range s.components {
		c.prediction = 0
	}
	return nil
}

// nextDC returns the DC coefficient of the next block.
func (s *scan) nextDC(c *Component) int32 {
	s.bits.need(32)
	if size := int(s.bits.symbol(c.dc)); size > 0 {
		c.prediction += extend(s.bits.take(size), size)
	}
	return c.prediction
}

func (s *scan) sequential(c *Component, x, y int) {
	r := &s.bits
	work := &s.work
	work[0] = int16(s.nextDC(c)) //nolint:gosec // a damaged file may wrap round
	last := 0
	for k := 1; k < blockSamples; k++ {
		r.need(32)
		if fast := c.ac.value[r.bits>>(64-fastBits)]; fast != 0 {
			k += int(fast >> 4 & 15)
			r.skip(int(fast & 15))
			if k >= blockSamples {
				r.bad = true
				break
			}
			work[zigzag[k]] = fast >> 8
			last = k
			continue
		}
		symbol := r.symbol(c.ac)
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run < 15 {
				break
			}
			k += 15
			continue
		}
		k += run
		v := extend(r.take(size), size)
		if k >= blockSamples {
			r.bad = true
			break
		}
		work[zigzag[k]] = int16(v) //nolint:gosec // 15 bits and a sign
		last = k
	}
	if s.p.Measure {
		s.p.measure(c, work)
	}
	c.transform(work, last, x, y)
	if last == 0 {
		work[0] = 0
		return
	}
	*work = block{}
}
