package pixels

import (
	"fmt"
)

// Filter says how pixels are weighted when a picture is scaled. Both are antialiased when it shrinks.
type Filter int

// The filters of published image towers.
const (
	Bilinear Filter = iota // a triangle
	Bicubic                // Catmull-Rom, a = −0.5
)

// Fit says how a picture of one shape fills a tensor of another.
type Fit int

const (
	// Squash scales width and height apart, so that the whole picture shows and shapes are bent.
	Squash Fit = iota
	// CropCentre scales the shorter side to ShortestEdge, the longer in proportion, and cuts the middle out.
	CropCentre
)

// Transform is a bundle's way from a picture to its tensor. The zero value is of no use: Validate says why.
type Transform struct {
	Width, Height int // of the tensor, in pixels
	Filter        Filter
	Fit           Fit
	ShortestEdge  int // with CropCentre: the shorter side before the cut, at least Width and Height
}

// Validate says what is wrong with the numbers.
func (t Transform) Validate() error {
	switch {
	case t.Width <= 0 || t.Height <= 0:
		return fmt.Errorf("pixels: a tensor of %d×%d pixels is not possible", t.Width, t.Height)
	case t.Filter != Bilinear && t.Filter != Bicubic:
		return fmt.Errorf("pixels: filter %d is unknown", t.Filter)
	case t.Fit != Squash && t.Fit != CropCentre:
		return fmt.Errorf("pixels: fit %d is unknown", t.Fit)
	case t.Fit == Squash && t.ShortestEdge != 0:
		return fmt.Errorf("pixels: a shortest edge (%d) goes with CropCentre only", t.ShortestEdge)
	case t.Fit == CropCentre && t.ShortestEdge < max(t.Width, t.Height):
		return fmt.Errorf("pixels: %d×%d pixels cannot be cut from a shortest edge of %d", t.Width, t.Height, t.ShortestEdge)
	}
	return nil
}

// Size is the length of the tensor: Height × Width × 3 bytes.
func (t Transform) Size() int { return 3 * t.Width * t.Height }

// Apply writes the tensor of im to dst, which must be Size bytes long: rows from the top, RGB, exactly as Pillow's resize
// (and crop) would compute them. im may be applied again.
func (t Transform) Apply(dst []uint8, im *Image) error {
	if im.Width <= 0 || im.Height <= 0 || len(im.Pix) != 3*im.Width*im.Height {
		return fmt.Errorf("pixels: an image of %d×%d pixels with %d bytes is none", im.Width, im.Height, len(im.Pix))
	}
	return t.draw(dst, im.Width, im.Height, &whole{im})
}

// draw is Apply to a picture that is read once, from the top, and maybe not to its end. Errors of its source are passed on.
func (t Transform) draw(dst []uint8, width, height int, picture strips) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if len(dst) != t.Size() {
		return fmt.Errorf("pixels: the tensor takes %d bytes, dst has %d", t.Size(), len(dst))
	}
	scaledWidth, scaledHeight := t.Width, t.Height
	if t.Fit == CropCentre {
		scaledWidth, scaledHeight = scaleShortest(width, height, t.ShortestEdge)
	}
	return resample(dst, picture, t.Filter, axis{
		in: width, out: scaledWidth, first: (scaledWidth - t.Width) / 2, count: t.Width,
	}, axis{
		in: height, out: scaledHeight, first: (scaledHeight - t.Height) / 2, count: t.Height,
	})
}

// scaleShortest rounds the longer side down, as Hugging Face's image processors do.
func scaleShortest(width, height, edge int) (int, int) {
	if width <= height {
		return edge, edge * height / width
	}
	return edge * width / height, edge
}
