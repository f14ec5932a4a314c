package model

import (
	"image"
	"image/color"
	"math"

	"github.com/itrstream/itrstream/schemas"
)

// Overlay paints one relation's activation map over the picture it explains,
// as the paper's figures do (ITR §5, pytorch-grad-cam's overlay): the map,
// scaled to 0–1 and enlarged, in the colours of JET, plus the picture, divided by the
// brightest value. pixels are height·width·3 bytes, as Explain took them.
func (c CAM) Overlay(pixels []uint8, height, width int, of schemas.Relation) *image.RGBA {
	heat := c.enlarge(c.Relations[of], height, width)
	sums := make([]float64, height*width*3)
	brightest := 0.0
	for i, v := range heat {
		for ch, h := range jet(v) {
			at := 3*i + ch
			sums[at] = h + float64(pixels[at])/255
			brightest = max(brightest, sums[at])
		}
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	level := func(v float64) uint8 { return uint8(math.Round(255 * v / max(brightest, 1e-9))) }
	for i := range heat {
		out.SetRGBA(i%width, i/width, color.RGBA{R: level(sums[3*i]), G: level(sums[3*i+1]), B: level(sums[3*i+2]), A: 255})
	}
	return out
}

// enlarge scales a map to 0–1 and, bilinearly, to height×width. A map without
// differences is all zeros.
func (c CAM) enlarge(cells []float32, height, width int) []float64 {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range cells {
		low, high = min(low, float64(v)), max(high, float64(v))
	}
	span := high - low
	at := func(y, x int) float64 {
		if span <= 0 {
			return 0
		}
		y, x = min(max(y, 0), c.Height-1), min(max(x, 0), c.Width-1)
		return (float64(cells[y*c.Width+x]) - low) / span
	}
	out := make([]float64, height*width)
	for i := range out {
		y := (float64(i/width)+0.5)*float64(c.Height)/float64(height) - 0.5
		x := (float64(i%width)+0.5)*float64(c.Width)/float64(width) - 0.5
		y0, x0 := math.Floor(y), math.Floor(x)
		dy, dx := y-y0, x-x0
		out[i] = (1-dy)*((1-dx)*at(int(y0), int(x0))+dx*at(int(y0), int(x0)+1)) +
			dy*((1-dx)*at(int(y0)+1, int(x0))+dx*at(int(y0)+1, int(x0)+1))
	}
	return out
}

// jet is the colour map of that name, for v in 0–1: blue, cyan, yellow, red.
func jet(v float64) [3]float64 {
	ramp := func(centre float64) float64 { return min(1, max(0, 1.5-math.Abs(4*v-centre))) }
	return [3]float64{ramp(3), ramp(2), ramp(1)}
}
