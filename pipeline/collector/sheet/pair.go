package sheet

import (
	"fmt"
	"image"
	"image/color"
	"slices"

	"golang.org/x/image/draw"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

// limits let in whatever a pipeline may have let in.
var limits = pixels.Limits{MaxBytes: 1 << 30, MaxPixels: 1_000_000_000, MaxSide: 65_535}

// Of makes a tile of a row: its image upright, its relation with that relation's score, and its text.
func Of(r *dataset.Row) Pair {
	c := &r.Collected
	p := Pair{Relation: c.Relation, Text: c.Text}
	if at := slices.Index(schemas.RelationNames(), c.Relation); at >= 0 {
		p.Note = fmt.Sprintf("%.2f", c.Scores[at])
	}
	if r.Image == nil {
		p.Fault = "no image"
		return p
	}
	im, err := pixels.Decode(r.Image, limits, true)
	if err != nil {
		p.Fault = err.Error()
		return p
	}
	// At the size that it is drawn: hundreds of whole pictures would not fit into memory.
	box := inside(image.Rect(0, 0, tileWidth, imageHeight), image.Pt(im.Width, im.Height))
	small := image.NewRGBA(image.Rectangle{Max: box.Size()})
	draw.CatmullRom.Scale(small, small.Rect, picture{im}, picture{im}.Bounds(), draw.Src, nil)
	im.Release()
	p.Image = small
	return p
}

// picture is what package pixels decodes, as others see images.
type picture struct{ *pixels.Image }

// ColorModel says that there is no transparency.
func (p picture) ColorModel() color.Model { return color.RGBAModel }

// Bounds begin at the origin.
func (p picture) Bounds() image.Rectangle { return image.Rect(0, 0, p.Width, p.Height) }

// At is one pixel.
func (p picture) At(x, y int) color.Color { return p.RGBA64At(x, y) }

// RGBA64At is one pixel, without an allocation for each.
func (p picture) RGBA64At(x, y int) color.RGBA64 {
	at := p.Pix[3*(y*p.Width+x):]
	wide := func(v uint8) uint16 { return uint16(v) * 0x101 }
	return color.RGBA64{R: wide(at[0]), G: wide(at[1]), B: wide(at[2]), A: 0xffff}
}
