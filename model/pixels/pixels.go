package pixels

import (
	"bytes"
	"errors"
	"fmt"
)

// The errors of Decode. Each comes wrapped with what was found and where.
var (
	// ErrFormat is for bytes that are no image, or one of a kind that is not read here.
	ErrFormat = errors.New("not an image that can be read")
	// ErrCorrupt is for an image that is damaged or ends too early.
	ErrCorrupt = errors.New("image is corrupt")
	// ErrTooLarge is for an image beyond one of the Limits.
	ErrTooLarge = errors.New("image is too large")
)

// Limits bounds what Decode takes on. They are compared with the sizes that the file declares, before anything is decoded.
// A limit of zero refuses every image.
type Limits struct {
	MaxBytes  int64 // of the file
	MaxPixels int64 // width times height
	MaxSide   int   // of width and of height, in pixels
}

func (l Limits) checkSize(width, height int) error {
	switch {
	case width <= 0 || height <= 0:
		return fmt.Errorf("%w: it declares %d×%d pixels", ErrCorrupt, width, height)
	case width > l.MaxSide || height > l.MaxSide:
		return fmt.Errorf("%w: %d×%d pixels, a side may have %d", ErrTooLarge, width, height, l.MaxSide)
	case int64(width)*int64(height) > l.MaxPixels:
		return fmt.Errorf("%w: %d×%d pixels, %d are allowed", ErrTooLarge, width, height, l.MaxPixels)
	}
	return nil
}

// Image is a decoded picture in RGB.
type Image struct {
	Width, Height int
	Pix           []uint8 // 3 bytes a pixel, row by row from the top left, no padding
}

func newImage(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: takeBytes(3 * width * height)}
}

// rowFrom is width pixels of row y from x on.
func (im *Image) rowFrom(x, y, width int) []uint8 {
	return im.Pix[3*(y*im.Width+x):][:3*width]
}

// Release gives the pixels' memory back for another image. The image must not be used afterwards; not calling it is safe.
func (im *Image) Release() {
	giveBytes(im.Pix)
	*im = Image{}
}

// format is a kind of file. It is recognised by what it begins with, never by a name or a media type.
type format struct {
	name   string
	magic  func(data []byte) bool
	decode func(data []byte, l Limits, orient bool) (*Image, error)
	room   func(data []byte) (width, height int, beside int64, err error)
	draw   func(d Drawing, dst, data []byte) error // nil: it is decoded as a whole
}

var formats = []format{
	{"JPEG", startsWith("\xff\xd8\xff"), decodeJPEG, roomJPEG, drawJPEG},
	{"PNG", startsWith(pngSignature), decodePNG, roomPNG, nil},
	{"GIF", startsWith("GIF87a", "GIF89a"), decodeGIF, roomGIF, nil},
	{"WebP", isWebP, decodeWebP, roomWebP, nil},
}

func formatOf(data []byte, l Limits) (format, error) {
	if n := int64(len(data)); n > l.MaxBytes {
		return format{}, fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLarge, n, l.MaxBytes)
	}
	for _, f := range formats {
		if f.magic(data) {
			return f, nil
		}
	}
	return format{}, fmt.Errorf("%w: %d bytes that begin with %q are no JPEG, PNG, GIF or WebP", ErrFormat, len(data), data[:min(len(data), 12)])
}

func startsWith(prefixes ...string) func([]byte) bool {
	return func(data []byte) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(data, []byte(p)) {
				return true
			}
		}
		return false
	}
}

// Decode reads a JPEG, PNG, GIF (its first frame) or WebP (likewise). With orient, the picture is turned upright as its
// EXIF or XMP orientation says. Transparency is dropped, not blended: the colours under it show, as in Pillow.
//
// The error is ErrFormat, ErrCorrupt or ErrTooLarge.
func Decode(data []byte, l Limits, orient bool) (im *Image, err error) {
	f, err := formatOf(data, l)
	if err != nil {
		return nil, err
	}
	err = f.guard(func() error {
		im, err = f.decode(data, l, orient)
		return err
	})
	if err != nil {
		return nil, err
	}
	return im, nil
}

// guard names the format in errors, and turns a panic of a decoder into one: it could stop every worker that is handed the same
// post. The fuzz target goes round it.
func (f format) guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the decoder failed on it: %v", ErrCorrupt, p)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", f.name, err)
		}
	}()
	return do()
}
