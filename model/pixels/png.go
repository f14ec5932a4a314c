package pixels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

func pngSize(data []byte) (width, height int, err error) {
	const ihdrEnd = len(pngSignature) + 8 + 8
	if len(data) < ihdrEnd || string(data[len(pngSignature)+4:ihdrEnd-8]) != "IHDR" {
		return 0, 0, fmt.Errorf("%w: it does not begin with an IHDR chunk", ErrCorrupt)
	}
	return int(binary.BigEndian.Uint32(data[ihdrEnd-8:])), int(binary.BigEndian.Uint32(data[ihdrEnd-4:])), nil
}

func decodePNG(data []byte, l Limits, orient bool) (*Image, error) {
	width, height, err := pngSize(data)
	if err != nil {
		return nil, err
	}
	if err := l.checkSize(width, height); err != nil {
		return nil, err
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		var unsupported png.UnsupportedError
		if errors.As(err, &unsupported) {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	im := newImage(width, height)
	if err := paintPNG(im, decoded); err != nil {
		return nil, err
	}
	if orient {
		im = pngOrientation(data).turn(im)
	}
	return im, nil
}

// paintPNG drops alpha and keeps the colours under it, as they are stored. Of 16 bits a colour keeps the upper 8; 16-bit
// grey without alpha is cut off at 255 instead, for that is what Pillow does with it, and what models were trained on.
func paintPNG(im *Image, decoded image.Image) error {
	n := im.Width * im.Height
	switch m := decoded.(type) {
	case *image.Gray:
		takeEvery(im.Pix, m.Pix[:n], 1, 0, 0, 0)
	case *image.Gray16:
		for i := range n {
			v := m.Pix[2*i+1]
			if m.Pix[2*i] > 0 {
				v = 255
			}
			im.Pix[3*i], im.Pix[3*i+1], im.Pix[3*i+2] = v, v, v
		}
	case *image.RGBA:
		takeEvery(im.Pix, m.Pix[:4*n], 4, 0, 1, 2)
	case *image.NRGBA:
		takeEvery(im.Pix, m.Pix[:4*n], 4, 0, 1, 2)
	case *image.RGBA64:
		takeEvery(im.Pix, m.Pix[:8*n], 8, 0, 2, 4)
	case *image.NRGBA64:
		takeEvery(im.Pix, m.Pix[:8*n], 8, 0, 2, 4)
	case *image.Paletted:
		var table [256][3]uint8
		for i, c := range m.Palette[:min(len(m.Palette), len(table))] {
			switch c := c.(type) {
			case color.RGBA:
				table[i] = [3]uint8{c.R, c.G, c.B}
			case color.NRGBA:
				table[i] = [3]uint8{c.R, c.G, c.B}
			}
		}
		paintIndexed(im.Pix, m.Pix[:n], &table)
	default:
		return fmt.Errorf("%w: a picture in %T is not expected", ErrFormat, decoded)
	}
	return nil
}

func takeEvery(rgb, in []uint8, step, red, green, blue int) {
	for ; len(rgb) > 0; rgb, in = rgb[3:], in[step:] {
		rgb[0], rgb[1], rgb[2] = in[red], in[green], in[blue]
	}
}

func paintIndexed(rgb, indices []uint8, table *[256][3]uint8) {
	for i, index := range indices {
		*(*[3]uint8)(rgb[3*i:]) = table[index]
	}
}

// pngOrientation looks through all chunks: eXIf may follow the picture.
func pngOrientation(data []byte) orientation {
	var xmp []byte
	const overhead = 12 // length, type, checksum
	for chunks := data[len(pngSignature):]; len(chunks) >= overhead; {
		n := int64(binary.BigEndian.Uint32(chunks))
		if n > int64(len(chunks)-overhead) {
			break
		}
		content := chunks[8 : 8+n]
		switch string(chunks[4:8]) {
		case "eXIf":
			if o := exifOrientation(content); o != 0 {
				return o
			}
		case "iTXt":
			if strings.HasPrefix(string(content), "XML:com.adobe.xmp\x00") {
				xmp = content
			}
		}
		chunks = chunks[overhead+n:]
	}
	return xmpOrientation(xmp)
}
