package pixels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

const riffHeader = 12

func isWebP(data []byte) bool {
	return len(data) >= riffHeader && string(data[:4]) == "RIFF" && string(data[8:riffHeader]) == "WEBP"
}

// webpFile is what the chunks say. golang.org/x/image/webp is not used: it knows no animation, and it decodes alpha, which
// is dropped here.
type webpFile struct {
	canvas     image.Point // zero without a VP8X chunk
	frame      image.Rectangle
	lossy      []byte
	lossless   []byte
	exif, xmp  []byte
	hasPicture bool
}

func decodeWebP(data []byte, l Limits, orient bool) (*Image, error) {
	f, err := readWebP(data)
	if err != nil {
		return nil, err
	}
	var im *Image
	if f.lossy != nil {
		im, err = f.decodeLossy(l)
	} else {
		im, err = f.decodeLossless(l)
	}
	if err != nil || !orient {
		return im, err
	}
	o := exifOrientation(f.exif)
	if o == 0 {
		o = xmpOrientation(f.xmp)
	}
	return o.turn(im), nil
}

func readWebP(data []byte) (*webpFile, error) {
	// The container's size counts from behind itself. Whatever follows it is none of WebP's business.
	size := int64(binary.LittleEndian.Uint32(data[4:])) + 8
	if size < riffHeader {
		return nil, fmt.Errorf("%w: its container claims %d bytes", ErrCorrupt, size-8)
	}
	f := new(webpFile)
	if err := f.read(data[riffHeader:min(size, int64(len(data)))], false); err != nil {
		return nil, err
	}
	if !f.hasPicture {
		return nil, fmt.Errorf("%w: it holds no picture", ErrCorrupt)
	}
	return f, nil
}

// read goes through the chunks; an animation's frame is a list of chunks itself.
func (f *webpFile) read(chunks []byte, inFrame bool) error {
	for len(chunks) >= 8 {
		kind, size := string(chunks[:4]), int64(binary.LittleEndian.Uint32(chunks[4:]))
		chunks = chunks[8:]
		if size > int64(len(chunks)) {
			return fmt.Errorf("%w: it ends inside a chunk of kind %q", ErrCorrupt, kind)
		}
		content := chunks[:size]
		chunks = chunks[min(size+size&1, int64(len(chunks))):]
		if err := f.chunk(kind, content, inFrame); err != nil {
			return err
		}
	}
	return nil
}

func (f *webpFile) chunk(kind string, content []byte, inFrame bool) error {
	const extendedSize, frameSize = 10, 16
	switch kind {
	case "VP8X":
		if len(content) < extendedSize {
			return fmt.Errorf("%w: a VP8X chunk of %d bytes", ErrCorrupt, len(content))
		}
		f.canvas = image.Pt(1+uint24(content[4:]), 1+uint24(content[7:]))
	case "EXIF":
		f.exif = content
	case "XMP ":
		f.xmp = content
	case "ANMF":
		// Frames in frames, 24 bytes each, would have the stack grow with the file.
		if inFrame {
			return fmt.Errorf("%w: a frame within a frame", ErrCorrupt)
		}
		if f.hasPicture {
			return nil
		}
		if len(content) < frameSize {
			return fmt.Errorf("%w: a frame of %d bytes", ErrCorrupt, len(content))
		}
		corner := image.Pt(2*uint24(content), 2*uint24(content[3:]))
		f.frame = image.Rectangle{corner, corner.Add(image.Pt(1+uint24(content[6:]), 1+uint24(content[9:])))}
		return f.read(content[frameSize:], true)
	case "VP8 ", "VP8L":
		if f.hasPicture {
			return nil
		}
		f.hasPicture = true
		if kind == "VP8 " {
			f.lossy = content
		} else {
			f.lossless = content
		}
	}
	return nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// size is the canvas's, or the picture's own where there is none.
func (f *webpFile) size() (width, height int, err error) {
	switch {
	case f.canvas != image.Point{}:
		return f.canvas.X, f.canvas.Y, nil
	case f.lossy == nil:
		header, err := vp8l.DecodeConfig(bytes.NewReader(f.lossless))
		return header.Width, header.Height, err
	}
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(f.lossy), len(f.lossy))
	header, err := d.DecodeFrameHeader()
	return header.Width, header.Height, err
}

// place checks the size that the picture itself declares against the rest of the file and the limits, and returns the
// canvas, black where a frame of an animation will not cover it.
func (f *webpFile) place(l Limits, width, height int) (im *Image, at image.Point, err error) {
	size := image.Pt(width, height)
	canvas := f.canvas
	if canvas == (image.Point{}) {
		canvas = size
	}
	frame := f.frame
	if frame.Empty() {
		frame = image.Rectangle{Max: canvas}
	}
	if frame.Size() != size || !frame.In(image.Rectangle{Max: canvas}) {
		return nil, at, fmt.Errorf("%w: a picture of %d×%d pixels on %v of a canvas of %v", ErrCorrupt, width, height, frame, canvas)
	}
	if err := l.checkSize(canvas.X, canvas.Y); err != nil {
		return nil, at, err
	}
	im = newImage(canvas.X, canvas.Y)
	if size != canvas {
		clear(im.Pix)
	}
	return im, frame.Min, nil
}

func (f *webpFile) decodeLossless(l Limits) (*Image, error) {
	header, err := vp8l.DecodeConfig(bytes.NewReader(f.lossless))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	im, at, err := f.place(l, header.Width, header.Height)
	if err != nil {
		return nil, err
	}
	decoded, err := vp8l.Decode(bytes.NewReader(f.lossless))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m, ok := decoded.(*image.NRGBA)
	if !ok {
		return nil, fmt.Errorf("%w: a picture in %T is not expected", ErrFormat, decoded)
	}
	for y := range header.Height {
		takeEvery(im.rowFrom(at.X, at.Y+y, header.Width), m.Pix[y*m.Stride:], 4, 0, 1, 2)
	}
	return im, nil
}

func (f *webpFile) decodeLossy(l Limits) (*Image, error) {
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(f.lossy), len(f.lossy))
	header, err := d.DecodeFrameHeader()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	im, at, err := f.place(l, header.Width, header.Height)
	if err != nil {
		return nil, err
	}
	m, err := d.DecodeFrame()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for y := range header.Height {
		paintVP8Row(im.rowFrom(at.X, at.Y+y, header.Width), m, y, header.Height)
	}
	return im, nil
}

// paintVP8Row interpolates chroma between its four nearest samples, 9:3:3:1, rounding the way libwebp does.
func paintVP8Row(rgb []uint8, m *image.YCbCr, y, height int) {
	width := len(rgb) / 3
	luma := m.Y[y*m.YStride:][:width]
	chromaWidth := (width + 1) / 2
	near := y / 2
	far := near + 1
	if y%2 == 0 {
		far = near - 1
	}
	// The first row, and the last one of an even height, lie beyond the outer chroma samples.
	far = min(max(far, 0), (height+1)/2-1)
	nearU, farU := m.Cb[near*m.CStride:][:chromaWidth], m.Cb[far*m.CStride:][:chromaWidth]
	nearV, farV := m.Cr[near*m.CStride:][:chromaWidth], m.Cr[far*m.CStride:][:chromaWidth]

	for x, value := range luma {
		at := x / 2
		beside := at - 1
		if x%2 == 1 {
			beside = at + 1
		}
		beside = min(max(beside, 0), chromaWidth-1)
		u := blend(nearU[at], nearU[beside], farU[at], farU[beside])
		v := blend(nearV[at], nearV[beside], farV[at], farV[beside])
		paintVP8Pixel((*[3]uint8)(rgb[3*x:]), int32(value), u, v)
	}
}

// blend weighs the sample at hand 9, its two neighbours 3 each and the diagonal one 1, in two steps that each round down.
func blend(here, beside, across, diagonal uint8) int32 {
	a, b, c, d := int32(here), int32(beside), int32(across), int32(diagonal)
	middle := (a + 3*b + 3*c + d + 8) >> 3
	return (middle + a) >> 1
}

// paintVP8Pixel converts limited-range BT.601 in libwebp's fixed point.
func paintVP8Pixel(rgb *[3]uint8, y, u, v int32) {
	const fraction = 6
	y = y * 19077 >> 8
	rgb[0] = clamp((y + v*26149>>8 - 14234) >> fraction)
	rgb[1] = clamp((y - u*6419>>8 - v*13320>>8 + 8708) >> fraction)
	rgb[2] = clamp((y + u*33050>>8 - 17685) >> fraction)
}
