package scale

// Precision is how many bits of a tap are a fraction: with it a sum of 8-bit samples fits 32 bits.
const Precision = 32 - 8 - 2

const half = 1 << (Precision - 1)

// Span is what one output sample is made of: input samples from From on, and of each as much as its tap says. A tap is a share
// of 1, or little more than that: it is within ±1.9.
type Span struct {
	From int
	Taps []int32
}

// Rows scales rows of RGB pixels to one pixel a span. It does not change and may be used by many at once.
type Rows struct {
	width int
	spans []Span
	four  fourRows
	all   sixteenRows
}

// NewRows is for rows of width pixels, in which all spans must lie, in the order of From.
func NewRows(width int, spans []Span) *Rows {
	s := &Rows{width: width, spans: spans}
	if best >= avx2 {
		s.four = newFourRows(spans)
	}
	if best >= avx512 {
		s.all = newSixteenRows(spans)
	}
	return s
}

// Scale reads count rows of src, and writes as many of 3·len(spans) bytes to dst. src may go on after them. Sixteen rows at once
// are fastest.
func (s *Rows) Scale(dst, src []uint8, count int) { s.scale(best, dst, src, count) }

func (s *Rows) scale(k kernel, dst, src []uint8, count int) {
	stride, narrow := 3*s.width, 3*len(s.spans)
	if n := count - count%rowsAtOnce; k >= avx512 && n > 0 {
		scaleSixteenRows(dst[:n*narrow], src[:n*stride], n, &s.all)
		dst, src, count = dst[n*narrow:], src[n*stride:], count-n
	}
	if count == 0 {
		return
	}
	if k == inGo || stride < s.four.reach {
		for i := range count {
			scaleRow(dst[i*narrow:][:narrow], src[i*stride:][:stride], s.spans)
		}
		return
	}
	// What is read of one row may end in the next, so the spans at the end of the very last are left.
	end := len(src) - stride*(count-1) - s.four.reach
	whole := len(s.spans)
	for whole > 0 && int(s.four.from[whole-1]) > end {
		whole--
	}
	scaleFourRows(dst[:narrow*count], src[:stride*count], count, whole, &s.four)
	scaleRow(dst[narrow*(count-1)+3*whole:], src[stride*(count-1):][:stride], s.spans[whole:])
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
// first the sums begin here; where dst is not nil they end, and it gets them rounded. In between, they lie in an order of their
// own.
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
	avx512
)
