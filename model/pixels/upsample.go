package pixels

import (
	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
)

// upsampler yields a plane's rows at the picture's size. Chroma at half the width, half the height or both is interpolated
// with the triangle filter that libjpeg calls "fancy", in its integer arithmetic; other ratios repeat samples.
type upsampler struct {
	c          *jpeg.Component
	wide, high int     // how many times it is to be enlarged
	sums       []int32 // a row at the picture's height and the plane's width, before it is divided
	out        []uint8
}

func newUpsampler(c *jpeg.Component, maxH, maxV, width int) *upsampler {
	u := &upsampler{c: c, wide: maxH / c.H, high: maxV / c.V}
	if u.wide > 1 || u.high > 1 {
		// The last sample may reach beyond the picture.
		u.out = takeBytes(width + u.wide)
	}
	if u.wide == 2 && u.high == 2 {
		u.sums = make([]int32, c.Width)
	}
	return u
}

func (u *upsampler) release() {
	if u.out != nil {
		giveBytes(u.out)
	}
}

func (u *upsampler) plane(y int) []uint8 {
	return u.c.Pix[u.c.Stride*y:][:u.c.Width]
}

// row returns the picture's row y, valid until the next call. It may be longer than the picture is wide.
func (u *upsampler) row(y int) []uint8 {
	at := y / u.high
	near := u.plane(at)
	// libjpeg interpolates only planes of more than two columns, since it writes the outer ones apart.
	fancy := u.c.Width > 2
	switch {
	case u.wide == 1 && u.high == 1:
		return near
	case u.wide == 2 && u.high == 1 && fancy:
		u.widen(near)
	case u.wide == 2 && u.high == 2 && fancy:
		u.widenBetween(near, u.plane(u.other(y)))
	case u.wide == 1 && u.high == 2:
		between(u.out, near, u.plane(u.other(y)), y)
	default:
		repeat(u.out, near, u.wide)
	}
	return u.out
}

// other is the plane's row on the other side of the picture's row y, the same one at the edges.
func (u *upsampler) other(y int) int {
	if y%2 == 0 {
		return max(y/2-1, 0)
	}
	return min(y/2+1, u.c.Height-1)
}

// share divides a weighted sum of bytes by the sum of its weights, 1<<shift.
func share(sum int32, shift int) uint8 {
	return uint8(sum >> shift) //nolint:gosec // a mean of bytes is a byte
}

// widen doubles a row: each sample is three parts the nearer one, one part the farther. The bias alternates, so that the
// roundings don't add up.
func (u *upsampler) widen(in []uint8) {
	last := len(in) - 1
	out := u.out[:2*len(in)]
	out[0] = in[0]
	out[1] = share(3*int32(in[0])+int32(in[1])+2, 2)
	for i := 1; i < last; i++ {
		three := 3 * int32(in[i])
		out[2*i] = share(three+int32(in[i-1])+1, 2)
		out[2*i+1] = share(three+int32(in[i+1])+2, 2)
	}
	out[2*last] = share(3*int32(in[last])+int32(in[last-1])+1, 2)
	out[2*last+1] = in[last]
}

// widenBetween does the same in both directions, rounding once.
func (u *upsampler) widenBetween(near, far []uint8) {
	sums := u.sums[:len(near)]
	far = far[:len(near)]
	for i, v := range near {
		sums[i] = 3*int32(v) + int32(far[i])
	}
	last := len(sums) - 1
	out := u.out[:2*len(sums)]
	out[0] = share(4*sums[0]+8, 4)
	out[1] = share(3*sums[0]+sums[1]+7, 4)
	for i := 1; i < last; i++ {
		three := 3 * sums[i]
		out[2*i] = share(three+sums[i-1]+8, 4)
		out[2*i+1] = share(three+sums[i+1]+7, 4)
	}
	out[2*last] = share(3*sums[last]+sums[last-1]+8, 4)
	out[2*last+1] = share(4*sums[last]+7, 4)
}

// between computes a row of a plane that has half the picture's height.
func between(out, near, far []uint8, y int) {
	bias := int32(1 + y%2)
	for i, v := range near {
		out[i] = share(3*int32(v)+int32(far[i])+bias, 2)
	}
}

func repeat(out, in []uint8, times int) {
	i := 0
	for _, v := range in {
		for range times {
			if i == len(out) {
				return
			}
			out[i] = v
			i++
		}
	}
}
