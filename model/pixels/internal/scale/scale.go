package scale

// Precision is how many bits of a tap are a fraction: with it a sum of 8-bit samples fits 32 bits.
const Precision = 32 - 8 - 2

const half = 1 << (Precision - 1)

// Span is what one output sample is made of: input samples from From on, and of each as much as its tap says. A tap is a share
// of 1, or little more than that: less than 16.
type Span struct {
	From int
	Taps []int32
}

// Rows scales rows of RGB pixels to one pixel a span. It does not change and may be used by many at once.
type Rows struct {
	width int
	spans []Span
	plan  plan
}

// plan is Rows as the kernels want it: every span has as many taps, a multiple of pixelsAtOnce, with zeros at its end.
type plan struct {
	groups int     // of a span: pixelsAtOnce taps
	from   []int32 // the first byte of every span in a row
	taps   []int16 // by span and group: the high parts of its taps, then the low parts
}

const (
	// A kernel loads 16 bytes, takes 4 pixels out of them, and multiplies 16 bits by 16: a tap is high·2^lowBits + low.
	bytesAtOnce  = 16
	pixelsAtOnce = 4
	lowBits      = 11
)

// NewRows is for rows of width pixels, in which all spans must lie.
func NewRows(width int, spans []Span) *Rows {
	s := &Rows{width: width, spans: spans}
	if best == inGo {
		return s
	}
	most := 0
	for _, span := range spans {
		most = max(most, len(span.Taps))
	}
	p := &s.plan
	p.groups = (most + pixelsAtOnce - 1) / pixelsAtOnce
	p.from = make([]int32, len(spans))
	p.taps = make([]int16, 2*pixelsAtOnce*p.groups*len(spans))
	for i, span := range spans {
		p.from[i] = int32(3 * span.From) //nolint:gosec // limits on sides are far below 2^31/3
		for j, tap := range span.Taps {
			at := 2*(i*p.groups*pixelsAtOnce+j-j%pixelsAtOnce) + j%pixelsAtOnce
			p.taps[at] = int16(tap >> lowBits) //nolint:gosec // a tap is less than 16
			p.taps[at+pixelsAtOnce] = int16(tap & (1<<lowBits - 1))
		}
	}
	return s
}

// Scale reads count rows of src, and writes as many of 3·len(spans) bytes to dst. src may go on after them.
func (s *Rows) Scale(dst, src []uint8, count int) { s.scale(best, dst, src, count) }

func (s *Rows) scale(k kernel, dst, src []uint8, count int) {
	stride := 3 * s.width
	// The kernels read whole groups. Those of one row may end in the next, so the spans at the end of the very last are left.
	reach := 3*pixelsAtOnce*(s.plan.groups-1) + bytesAtOnce
	if k == inGo || stride < reach {
		for i := range count {
			scaleRow(dst[3*len(s.spans)*i:][:3*len(s.spans)], src[stride*i:][:stride], s.spans)
		}
		return
	}
	end := len(src) - stride*(count-1) - reach // the last byte of the last row where a kernel may begin
	whole := len(s.spans)
	for whole > 0 && int(s.plan.from[whole-1]) > end {
		whole--
	}
	scaleRows(k, dst[:3*len(s.spans)*count], src[:stride*count], count, whole, &s.plan)
	scaleRow(dst[3*(len(s.spans)*(count-1)+whole):], src[stride*(count-1):][:stride], s.spans[whole:])
}

func scaleRow(dst, src []uint8, spans []Span) {
	for i, span := range spans {
		red, green, blue := int32(half), int32(half), int32(half)
		pixels := src[3*span.From:][:3*len(span.Taps)]
		for _, tap := range span.Taps {
			p := pixels[:3]
			red += int32(p[0]) * tap
			green += int32(p[1]) * tap
			blue += int32(p[2]) * tap
			pixels = pixels[3:]
		}
		out := dst[3*i:][:3]
		out[0], out[1], out[2] = round(red), round(green), round(blue)
	}
}

// Columns adds rows to sums, of each as much as its tap says. A row is as long as sums, and there is one for every tap. With
// first the sums begin here; where dst is not nil they end, and it gets them rounded.
func Columns(dst []uint8, sums []int32, rows []uint8, taps []int32, first bool) {
	columns(best, dst, sums, rows, taps, first)
}

func columns(k kernel, dst []uint8, sums []int32, rows []uint8, taps []int32, first bool) {
	rows = rows[:len(sums)*len(taps)]
	if dst != nil {
		dst = dst[:len(sums)]
	}
	if k != inGo {
		scaleColumns(k, dst, sums, rows, taps, first)
		return
	}
	if first {
		for i := range sums {
			sums[i] = half
		}
	}
	for _, tap := range taps {
		for i, sample := range rows[:len(sums)] {
			sums[i] += int32(sample) * tap
		}
		rows = rows[len(sums):]
	}
	for i := range dst {
		dst[i] = round(sums[i])
	}
}

// round leaves the fixed point; bicubic weights overshoot on both sides.
func round(sum int32) uint8 { return uint8(min(max(sum>>Precision, 0), 255)) }

// kernel is one way to the same sums.
type kernel int

const (
	inGo kernel = iota
	avx2
	avx512VNNI
)
