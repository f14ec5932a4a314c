package pixels

import (
	"math"
	"sync"
)

// precisionBits is the fixed point of the weights: with it a sum of 8-bit samples fits 32 bits.
const (
	precisionBits = 32 - 8 - 2
	half          = 1 << (precisionBits - 1)
)

// axis scales in samples to out, of which count from first on are wanted.
type axis struct{ in, out, first, count int }

// weights holds, for every wanted sample, which input samples it is made of and how much of each.
type weights struct {
	spans []inputSpan
	taps  []int32
}

// inputSpan is a run of input samples, and of taps.
type inputSpan struct{ from, count, taps int }

func (w *weights) of(s inputSpan) []int32 { return w.taps[s.taps:][:s.count] }

// resampler is the scratch memory of one resample.
type resampler struct {
	horizontal, vertical weights
	shares               []float64
	sums                 []int32
}

var resamplers sync.Pool

// resample scales in two passes and rounds to 8 bits between them, as Pillow does: one pass would be as good and not equal.
func resample(dst []uint8, im *Image, filter Filter, x, y axis) {
	r, _ := resamplers.Get().(*resampler)
	if r == nil {
		r = new(resampler)
	}
	defer resamplers.Put(r)
	r.compute(&r.horizontal, x, filter)
	r.compute(&r.vertical, y, filter)
	if columnsFirst(x, y) {
		r.columnsThenRows(dst, im)
	} else {
		r.rowsThenColumns(dst, im)
	}
}

// columnsFirst is Pillow's rule since version 13: a picture that loses much more height than width loses it first. Earlier
// versions scaled rows first, which for these pictures differs by the rounding in between.
func columnsFirst(x, y axis) bool {
	return y.in > y.out && y.in-y.out > 2*(x.in-x.out)
}

func (r *resampler) rowsThenColumns(dst []uint8, im *Image) {
	// Only the rows that some output row looks at are scaled.
	top, bottom := im.Height, 0
	for _, s := range r.vertical.spans {
		top, bottom = min(top, s.from), max(bottom, s.from+s.count)
	}
	stride := 3 * len(r.horizontal.spans)
	between := takeBytes(stride * (bottom - top))
	defer giveBytes(between)
	for row := top; row < bottom; row++ {
		r.horizontal.scaleRow(between[(row-top)*stride:][:stride], im.rowFrom(0, row, im.Width))
	}
	for i, s := range r.vertical.spans {
		r.scaleColumns(dst[i*stride:][:stride], between[(s.from-top)*stride:], r.vertical.of(s))
	}
}

func (r *resampler) columnsThenRows(dst []uint8, im *Image) {
	between := takeBytes(3 * im.Width)
	defer giveBytes(between)
	stride := 3 * len(r.horizontal.spans)
	for i, s := range r.vertical.spans {
		r.scaleColumns(between, im.Pix[3*im.Width*s.from:], r.vertical.of(s))
		r.horizontal.scaleRow(dst[i*stride:][:stride], between)
	}
}

// compute follows Pillow's arithmetic to the last bit; the conversions to float64 keep the compiler from fusing
// multiplications with additions, which would round otherwise on some processors.
func (r *resampler) compute(w *weights, a axis, filter Filter) {
	w.spans, w.taps = w.spans[:0], w.taps[:0]
	scale := float64(a.in) / float64(a.out)
	stretch := max(scale, 1)
	kernel, support := triangle, 1.0
	if filter == Bicubic {
		kernel, support = catmullRom, 2.0
	}
	support *= stretch
	for i := a.first; i < a.first+a.count; i++ {
		centre := float64((float64(i) + 0.5) * scale)
		from := max(0, int(centre-support+0.5))
		to := min(a.in, int(centre+support+0.5))
		r.shares = r.shares[:0]
		total := 0.0
		for x := from; x < to; x++ {
			share := kernel(float64((float64(x) - centre + 0.5) * float64(1/stretch)))
			r.shares = append(r.shares, share)
			total += share
		}
		s := inputSpan{from: from, taps: len(w.taps)}
		for _, share := range r.shares {
			w.taps = append(w.taps, fixed(share/total))
		}
		for s.count = len(r.shares); s.count > 1 && w.taps[s.taps+s.count-1] == 0; {
			s.count--
		}
		w.spans = append(w.spans, s)
	}
}

func fixed(share float64) int32 {
	return int32(math.Copysign(0.5, share) + float64(share*(1<<precisionBits)))
}

func triangle(x float64) float64 {
	return max(0, 1-math.Abs(x))
}

func catmullRom(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
	}
	return 0
}

func (w *weights) scaleRow(dst, src []uint8) {
	for i, s := range w.spans {
		red, green, blue := int32(half), int32(half), int32(half)
		pixels := src[3*s.from:][:3*s.count]
		for _, tap := range w.of(s) {
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

func (r *resampler) scaleColumns(dst, src []uint8, taps []int32) {
	if cap(r.sums) < len(dst) {
		r.sums = make([]int32, len(dst))
	}
	sums := r.sums[:len(dst)]
	for i := range sums {
		sums[i] = half
	}
	for _, tap := range taps {
		for i, sample := range src[:len(sums)] {
			sums[i] += int32(sample) * tap
		}
		src = src[len(sums):]
	}
	for i, sum := range sums {
		dst[i] = round(sum)
	}
}

// round leaves the fixed point; bicubic weights overshoot on both sides.
func round(sum int32) uint8 { return clamp(sum >> precisionBits) }
