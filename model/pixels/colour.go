package pixels

import (
	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
)

// jpegColours converts a row of planes to RGB.
var jpegColours = map[jpeg.Transform]func(rgb []uint8, planes *[4][]uint8){
	jpeg.Grey:  greyRow,
	jpeg.YCbCr: yCbCrRow,
	jpeg.RGB:   rgbRow,
	jpeg.CMYK:  cmykRow,
	jpeg.YCCK:  ycckRow,
}

func greyRow(rgb []uint8, planes *[4][]uint8) {
	grey := planes[0][:len(rgb)/3]
	for i, v := range grey {
		p := (*[3]uint8)(rgb[3*i:])
		p[0], p[1], p[2] = v, v, v
	}
}

func rgbRow(rgb []uint8, planes *[4][]uint8) {
	n := len(rgb) / 3
	red, green, blue := planes[0][:n], planes[1][:n], planes[2][:n]
	for i, v := range red {
		p := (*[3]uint8)(rgb[3*i:])
		p[0], p[1], p[2] = v, green[i], blue[i]
	}
}

// The full-range BT.601 factors of JFIF in 16-bit fixed point.
const (
	redOfCr   = 91881  // 1.40200
	greenOfCb = -22554 // −0.34414
	greenOfCr = -46802 // −0.71414
	blueOfCb  = 116130 // 1.77200
	chromaOne = 1 << 15
)

func yCbCrRow(rgb []uint8, planes *[4][]uint8) {
	n := len(rgb) / 3
	luma, cb, cr := planes[0][:n], planes[1][:n], planes[2][:n]
	for i, v := range luma {
		p := (*[3]uint8)(rgb[3*i:])
		y, b, r := int32(v), int32(cb[i])-128, int32(cr[i])-128
		p[0] = clamp(y + (r*redOfCr+chromaOne)>>16)
		p[1] = clamp(y + (b*greenOfCb+r*greenOfCr+chromaOne)>>16)
		p[2] = clamp(y + (b*blueOfCb+chromaOne)>>16)
	}
}

func clamp(v int32) uint8 {
	if uint32(v) > 255 { //nolint:gosec // a negative value becomes a large one on purpose
		return uint8(^v >> 31) //nolint:gosec // 0 below, 255 above
	}
	return uint8(v) //nolint:gosec // it was just compared
}

// cmykRow takes samples for the complements of inks, whatever the file says: Adobe writes them so, and Pillow assumes it
// of everyone. (White minus black) is then scaled by each ink's absence.
func cmykRow(rgb []uint8, planes *[4][]uint8) {
	n := len(rgb) / 3
	black := planes[3][:n]
	for i, k := range black {
		p := (*[3]uint8)(rgb[3*i:])
		for c := range p {
			p[c] = underBlack(255-planes[c][i], k)
		}
	}
}

// ycckRow is the same for files that hold the complements of red, green and blue as YCbCr.
func ycckRow(rgb []uint8, planes *[4][]uint8) {
	yCbCrRow(rgb, planes)
	black := planes[3][:len(rgb)/3]
	for i, k := range black {
		p := (*[3]uint8)(rgb[3*i:])
		for c, v := range p {
			p[c] = underBlack(v, k)
		}
	}
}

// underBlack is how much of white is left by an ink beside black, both 0 to 255; left is 255 without black.
func underBlack(ink, left uint8) uint8 {
	product := int32(ink)*int32(left) + 128
	return clamp(int32(left) - (product>>8+product)>>8)
}
