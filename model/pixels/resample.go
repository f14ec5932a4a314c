package pixels

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
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

// strips is a picture as it comes: whole rows from the top, as many at a time as its source likes.
type strips interface {
	// next returns rows of 3 bytes a pixel, which are valid until it is called again, and io.EOF after the last row.
	next() (rows []uint8, err error)
}

// whole is an Image as its only strip.
type whole struct{ im *Image }

func (w *whole) next() ([]uint8, error) {
	if w.im == nil {
		return nil, io.EOF
	}
	rows := w.im.Pix
	w.im = nil
	return rows, nil
}

// resampler is the memory of one resample. Of the picture it holds no more than chunkRows rows, scaled one way, and the sums
// of the output rows that have begun.
type resampler struct {
	horizontal, vertical weights
	shares               []float64
	between              []uint8
	sums                 []int32
	perRow               int // sums of an output row
	underway             int // rows of sums, which output rows take in turns
}

// chunkRows is how many rows are scaled one way before they are scaled the other: few enough to stay in the L1 cache.
const chunkRows = 16

var resamplers sync.Pool

// resample scales in two passes and rounds to 8 bits between them, as Pillow does: one pass would be as good and not equal.
func resample(dst []uint8, picture strips, filter Filter, x, y axis) error {
	r, _ := resamplers.Get().(*resampler)
	if r == nil {
		r = new(resampler)
	}
	defer resamplers.Put(r)
	r.compute(&r.horizontal, x, filter)
	r.compute(&r.vertical, y, filter)
	return r.scale(dst, picture, x, y)
}

// columnsFirst is Pillow's rule since version 13: a picture that loses much more height than width loses it first. Earlier
// versions scaled rows first, which for these pictures differs by the rounding in between.
func columnsFirst(x, y axis) bool {
	return y.in > y.out && y.in-y.out > 2*(x.in-x.out)
}

// scale reads no further than the last row that some output row looks at.
func (r *resampler) scale(dst []uint8, picture strips, x, y axis) error {
	columnsFirst := columnsFirst(x, y)
	stride := 3 * x.in
	narrow := 3 * x.count
	r.perRow = narrow
	if columnsFirst {
		r.perRow = stride
	}
	r.underway = r.vertical.overlap()
	r.sums = grow(r.sums, r.underway*r.perRow)
	r.between = grow(r.between, max(chunkRows*narrow, r.perRow))

	spans := r.vertical.spans
	top, bottom := spans[0].from, 0
	for _, s := range spans {
		bottom = max(bottom, s.from+s.count)
	}
	done := 0
	for row := 0; row < bottom; {
		rows, err := picture.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("pixels: the picture ends after %d of %d rows", row, y.in)
			}
			return err
		}
		end := row + len(rows)/stride
		for at := max(row, top); at < min(end, bottom); {
			count := min(chunkRows, end-at, bottom-at)
			chunk := rows[(at-row)*stride:][:count*stride]
			if !columnsFirst {
				for i := range count {
					r.horizontal.scaleRow(r.between[i*narrow:][:narrow], chunk[i*stride:][:stride])
				}
				chunk = r.between[:count*narrow]
			}
			for i := done; i < len(spans) && spans[i].from < at+count; i++ {
				out := dst[i*narrow:][:narrow]
				if !r.addRows(i, chunk, at, count) {
					continue
				}
				if columnsFirst {
					roundAll(r.between[:stride], r.sumsOf(i))
					r.horizontal.scaleRow(out, r.between)
				} else {
					roundAll(out, r.sumsOf(i))
				}
			}
			at += count
			for done < len(spans) && spans[done].from+spans[done].count <= at {
				done++
			}
		}
		row = end
	}
	return nil
}

// sumsOf is where output row i is summed up.
func (r *resampler) sumsOf(i int) []int32 { return r.sums[i%r.underway*r.perRow:][:r.perRow] }

// addRows adds to output row i its shares of count rows, the first of which is row at of the picture. It says whether the last
// one was among them.
func (r *resampler) addRows(i int, rows []uint8, at, count int) (last bool) {
	s, sums := r.vertical.spans[i], r.sumsOf(i)
	from, to := max(s.from, at), min(s.from+s.count, at+count)
	if from >= to {
		return false
	}
	if from == s.from {
		for j := range sums {
			sums[j] = half
		}
	}
	rows = rows[(from-at)*len(sums):]
	for _, tap := range r.vertical.of(s)[from-s.from : to-s.from] {
		for j, sample := range rows[:len(sums)] {
			sums[j] += int32(sample) * tap
		}
		rows = rows[len(sums):]
	}
	return to == s.from+s.count
}

func roundAll(dst []uint8, sums []int32) {
	for i, sum := range sums {
		dst[i] = round(sum)
	}
}

// overlap is how many spans at most have begun and not ended at any sample.
func (w *weights) overlap() int {
	most, first := 1, 0
	for i, s := range w.spans {
		for w.spans[first].from+w.spans[first].count <= s.from {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// grow returns n elements of any content, in the memory of s where that is enough.
func grow[E any](s []E, n int) []E { return slices.Grow(s[:0], n)[:n] }

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

// round leaves the fixed point; bicubic weights overshoot on both sides.
func round(sum int32) uint8 { return clamp(sum >> precisionBits) }
