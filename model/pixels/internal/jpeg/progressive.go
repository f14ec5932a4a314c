package jpeg

func (c *Component) coef(x, y int) *block { return &c.coefs[y*c.wide+x] }

func (s *scan) firstDC(c *Component, x, y int) {
	c.coef(x, y)[0] = int16(s.nextDC(c) << s.low) //nolint:gosec // a damaged file may wrap round
}

func (s *scan) refineDC(c *Component, x, y int) {
	s.bits.need(1)
	if s.bits.take(1) == 1 {
		c.coef(x, y)[0] |= 1 << s.low
	}
}

func (s *scan) firstAC(c *Component, x, y int) {
	if s.endOfBands > 0 {
		s.endOfBands--
		return
	}
	r, coefs := &s.bits, c.coef(x, y)
	for k := s.first; k <= s.last; k++ {
		r.need(32)
		symbol := r.symbol(c.ac)
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run < 15 {
				s.endOfBands = s.bandRun(run) - 1
				return
			}
			k += 15
			continue
		}
		k += run
		v := extend(r.take(size), size)
		if k > s.last {
			r.bad = true
			return
		}
		coefs[zigzag[k]] = int16(v << s.low) //nolint:gosec // a damaged file may wrap round
	}
}

// bandRun reads how many blocks, this one included, have no more coefficients in the band.
func (s *scan) bandRun(size int) int32 {
	if size == 0 {
		return 1
	}
	return 1<<size + int32(s.bits.take(size)) //nolint:gosec // at most 14 bits
}

// refineAC adds one bit to coefficients that are not zero, and brings new ones of ±1 in between (T.81 G.1.2.3).
func (s *scan) refineAC(c *Component, x, y int) {
	r, coefs := &s.bits, c.coef(x, y)
	k := s.first
	if s.endOfBands == 0 {
		for ; k <= s.last; k++ {
			r.need(32)
			symbol := r.symbol(c.ac)
			run, size := int(symbol>>4), int(symbol&15)
			fresh := int16(0)
			switch {
			case size == 0 && run < 15:
				s.endOfBands = s.bandRun(run)
			case size == 0:
			case r.take(1) == 1:
				fresh = 1 << s.low
			default:
				fresh = -1 << s.low
			}
			if s.endOfBands > 0 {
				break
			}
			if k = s.refine(coefs, k, run); k > s.last {
				// A run of 16 zeros may end with the band; a new coefficient has to have a place.
				r.bad = r.bad || fresh != 0
				return
			}
			if fresh != 0 {
				coefs[zigzag[k]] = fresh
			}
		}
	}
	if s.endOfBands > 0 {
		s.refine(coefs, k, blockSamples)
		s.endOfBands--
	}
}

// refine refines coefficients from k on, up to the one behind as many zeros as run says, and returns its place.
func (s *scan) refine(coefs *block, k, run int) int {
	bit := int16(1) << s.low
	for ; k <= s.last; k++ {
		at := zigzag[k]
		v := coefs[at]
		if v == 0 {
			if run == 0 {
				return k
			}
			run--
			continue
		}
		s.bits.need(1)
		if s.bits.take(1) == 0 || v&bit != 0 {
			continue
		}
		if v > 0 {
			coefs[at] = v + bit
		} else {
			coefs[at] = v - bit
		}
	}
	return k
}

// reconstruct turns all coefficients into samples, and lets them go.
func (c *Component) reconstruct() {
	for y := range c.high {
		for x := range c.wide {
			coefs := c.coef(x, y)
			last := 0
			if *coefs != (block{coefs[0]}) {
				last = blockSamples - 1
			}
			c.transform(coefs, last, x, y)
		}
	}
	c.coefs = nil
}
