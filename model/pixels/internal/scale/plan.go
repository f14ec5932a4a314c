package scale

// rowsAtOnce is how many rows AVX-512 scales at a time.
const rowsAtOnce = 16

// fourRows is Rows as AVX2 wants it: every span has as many taps, a multiple of four, with zeros at its end.
type fourRows struct {
	groups int     // of a span: four taps
	reach  int     // bytes that are read for a span
	from   []int32 // the first byte of every span in a row
	taps   []int16 // by span and group: the high parts of its taps, then the low parts
}

// lowBits are those of a tap's low part; both parts are to fit 16 bits.
const lowBits = 11

func newFourRows(spans []Span) fourRows {
	most := 0
	for _, s := range spans {
		most = max(most, len(s.Taps))
	}
	p := fourRows{groups: quadsOf(most), from: make([]int32, len(spans))}
	p.reach = 12*(p.groups-1) + 16
	p.taps = make([]int16, 8*p.groups*len(spans))
	for i, s := range spans {
		p.from[i] = int32(3 * s.From) //nolint:gosec // limits on sides are far below 2^31/3
		for j, tap := range s.Taps {
			at := 8*(i*p.groups+j/4) + j%4
			p.taps[at] = int16(tap >> lowBits) //nolint:gosec // a tap has 23 bits and a sign
			p.taps[at+4] = int16(tap & (1<<lowBits - 1))
		}
	}
	return p
}

// sixteenRows is Rows as AVX-512 wants it. A quad is four pixels that begin at a fourth one.
type sixteenRows struct {
	first, all  int     // the first quad that a span has part in, and how many to the last
	from, quads []int32 // by span: its first quad, counted from first, and how many
	digits      []int8  // by quad of every span: the lowest eight bits of four taps, with a sign; the middle; the upper
}

func newSixteenRows(spans []Span) sixteenRows {
	p := sixteenRows{first: spans[0].From / 4, from: make([]int32, len(spans)), quads: make([]int32, len(spans))}
	total := 0
	for i, s := range spans {
		from, end := s.From/4, quadsOf(s.From+len(s.Taps))
		p.from[i], p.quads[i] = int32(from-p.first), int32(end-from) //nolint:gosec // limits on sides are far below 2^31
		p.all = max(p.all, end-p.first)
		total += end - from
	}
	p.digits = make([]int8, 12*total)
	at := p.digits
	for i, s := range spans {
		for j, tap := range s.Taps {
			j += s.From % 4
			four := at[12*(j/4)+j%4:]
			for _, digit := range []int{0, 4, 8} {
				four[digit] = int8(tap) //nolint:gosec // the rest is in the next digit
				tap = (tap - int32(four[digit])) >> 8
			}
		}
		at = at[12*p.quads[i]:]
	}
	return p
}

func quadsOf(pixels int) int { return (pixels + 3) / 4 }
