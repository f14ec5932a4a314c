package pixels

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/itrstream/itrstream/model/pixels/internal/scale"
)

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

// resampler is the memory of one resample. Of the picture it holds a chunk that is scaled one way, and the sums of the output
// rows that have begun.
type resampler struct {
	horizontal *scale.Rows
	vertical   []scale.Span
	between    []uint8
	sums       []int32
	perRow     int // sums of an output row
	underway   int // rows of sums, which output rows take in turns
}

// chunkRows is how many rows are scaled one way before they are scaled the other: as many as scale.Rows is fastest with, and few
// enough to stay in the nearest cache.
const chunkRows = 16

var resamplers sync.Pool

// resample scales in two passes and rounds to 8 bits between them, as Pillow does: one pass would be as good and not equal.
func resample(dst []uint8, picture strips, filter Filter, x, y axis) error {
	r, _ := resamplers.Get().(*resampler)
	if r == nil {
		r = new(resampler)
	}
	defer resamplers.Put(r)
	r.horizontal, r.vertical = weightsOf(x, filter).rows(), weightsOf(y, filter).spans
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
	wide, narrow := 3*x.in, 3*x.count
	r.perRow = narrow
	if columnsFirst {
		r.perRow = wide
	}
	r.underway = overlap(r.vertical)
	r.sums = grow(r.sums, r.underway*r.perRow)
	r.between = grow(r.between, max(chunkRows*narrow, r.perRow))

	top, bottom := r.vertical[0].From, 0
	for _, s := range r.vertical {
		bottom = max(bottom, end(s))
	}
	done := 0
	for row := 0; row < bottom; {
		rows, err := picture.next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("pixels: the picture ends after %d of %d rows", row, y.in)
		}
		if err != nil {
			return err
		}
		past := row + len(rows)/wide
		for at := max(row, top); at < min(past, bottom); {
			count := min(chunkRows, past-at, bottom-at)
			chunk := rows[(at-row)*wide:]
			if !columnsFirst {
				r.horizontal.Scale(r.between, chunk, count)
				chunk = r.between
			}
			for i := done; i < len(r.vertical) && r.vertical[i].From < at+count; i++ {
				out := dst[i*narrow:][:narrow]
				if !columnsFirst {
					r.addRows(out, i, chunk, at, count)
				} else if r.addRows(r.between[:wide], i, chunk, at, count) {
					r.horizontal.Scale(out, r.between[:wide], 1)
				}
			}
			at += count
			for done < len(r.vertical) && end(r.vertical[done]) <= at {
				done++
			}
		}
		row = past
	}
	return nil
}

// addRows adds to output row i its shares of count rows, the first of which is row at of the picture. It says whether the last
// one was among them: then the output row is in dst.
func (r *resampler) addRows(dst []uint8, i int, rows []uint8, at, count int) (last bool) {
	s := r.vertical[i]
	from, to := max(s.From, at), min(end(s), at+count)
	if from >= to {
		return false
	}
	if to < end(s) {
		dst = nil
	}
	sums := r.sums[i%r.underway*r.perRow:][:r.perRow]
	scale.Columns(dst, sums, rows[(from-at)*r.perRow:], s.Taps[from-s.From:to-s.From], from == s.From)
	return dst != nil
}

// overlap is how many spans at most have begun and not ended at any sample.
func overlap(spans []scale.Span) int {
	most, first := 1, 0
	for i, s := range spans {
		for end(spans[first]) <= s.From {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func end(s scale.Span) int { return s.From + len(s.Taps) }

// grow returns n elements of any content, in the memory of s where that is enough.
func grow[E any](s []E, n int) []E { return slices.Grow(s[:0], n)[:n] }
