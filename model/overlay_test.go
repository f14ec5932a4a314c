package model

import (
	"image/color"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

func TestOverlayIsHotWhereTheMapIs(t *testing.T) {
	t.Parallel()
	cam := CAM{Height: 2, Width: 2}
	cam.Relations[schemas.Both] = []float32{0, 0, 0, 5}
	cam.Relations[schemas.Neither] = []float32{3, 3, 3, 3}
	black := make([]uint8, 8*8*3)

	hot := cam.Overlay(black, 8, 8, schemas.Both)
	require.Equal(t, color.RGBA{R: 127, A: 255}, round(hot.RGBAAt(7, 7)), "the corner of the hot cell is dark red")
	require.Equal(t, color.RGBA{B: 127, A: 255}, round(hot.RGBAAt(0, 0)), "a cold corner is dark blue")

	flat := cam.Overlay(black, 8, 8, schemas.Neither)
	require.Equal(t, flat.RGBAAt(0, 0), flat.RGBAAt(7, 7), "a map without differences is of one colour")

	white := make([]uint8, 8*8*3)
	for i := range white {
		white[i] = 255
	}
	over := cam.Overlay(white, 8, 8, schemas.Both).RGBAAt(7, 7)
	require.Greater(t, over.R, over.B, "the picture shows through, and the heat on it")
	require.Positive(t, over.B)
}

// round forgives one level.
func round(c color.RGBA) color.RGBA {
	half := func(v uint8) uint8 {
		if v >= 126 && v <= 129 {
			return 127
		}
		return v
	}
	return color.RGBA{R: half(c.R), G: half(c.G), B: half(c.B), A: c.A}
}
