package pixels

import (
	"bytes"
	"encoding/binary"
)

// orientation is how a picture must be turned to stand upright, numbered as in EXIF. Zero is unknown.
type orientation int

const (
	upright       orientation = 1
	mirrored      orientation = 2
	upsideDown    orientation = 3
	flipped       orientation = 4
	transposed    orientation = 5
	quarterRight  orientation = 6
	transversed   orientation = 7
	quarterLeft   orientation = 8
	orientationID             = 0x0112
)

// exifOrientation reads tag 0x0112 of the first directory of a TIFF structure, behind "Exif\0\0" or bare. Whatever is wrong
// with it, the picture is shown as it lies: cameras write all sorts of things.
func exifOrientation(exif []byte) orientation {
	exif = bytes.TrimPrefix(exif, []byte("Exif\x00\x00"))
	if len(exif) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	directory := int64(order.Uint32(exif[4:]))
	if directory+2 > int64(len(exif)) {
		return 0
	}
	const entrySize = 12
	entries := exif[directory+2:]
	for range order.Uint16(exif[directory:]) {
		if len(entries) < entrySize {
			return 0
		}
		if order.Uint16(entries) == orientationID {
			return orientationValue(order, entries)
		}
		entries = entries[entrySize:]
	}
	return 0
}

func orientationValue(order binary.ByteOrder, entry []byte) orientation {
	const typeShort, typeLong = 3, 4
	if order.Uint32(entry[4:]) != 1 {
		return 0
	}
	var value uint32
	switch order.Uint16(entry[2:]) {
	case typeShort:
		value = uint32(order.Uint16(entry[8:]))
	case typeLong:
		value = order.Uint32(entry[8:])
	}
	if value < uint32(upright) || value > uint32(quarterLeft) {
		return 0
	}
	return orientation(value)
}

// xmpOrientation finds tiff:Orientation as attribute or element. It counts only where EXIF has none.
func xmpOrientation(xmp []byte) orientation {
	_, value, found := bytes.Cut(xmp, []byte("tiff:Orientation"))
	if !found {
		return 0
	}
	value, found = bytes.CutPrefix(value, []byte(`="`))
	if !found {
		value, found = bytes.CutPrefix(value, []byte(">"))
	}
	if !found || len(value) == 0 || value[0] < '1' || value[0] > '8' {
		return 0
	}
	return orientation(value[0] - '0')
}

// turn returns im turned upright. im is used up.
func (o orientation) turn(im *Image) *Image {
	if o <= upright {
		return im
	}
	width, height := im.Width, im.Height
	if o >= transposed {
		width, height = height, width
	}
	out := newImage(width, height)
	// Pixel (x, y) of out lies in im at start + x·right + y·down.
	row := im.Width
	last := row*im.Height - 1
	var start, right, down int
	switch o {
	case mirrored:
		start, right, down = row-1, -1, row
	case upsideDown:
		start, right, down = last, -1, -row
	case flipped:
		start, right, down = last-row+1, 1, -row
	case transposed:
		start, right, down = 0, row, 1
	case quarterRight:
		start, right, down = last-row+1, -row, 1
	case transversed:
		start, right, down = last, -row, -1
	case quarterLeft:
		start, right, down = row-1, row, -1
	case upright:
	}
	to := out.Pix
	for range height {
		at := 3 * start
		for range width {
			copy(to[:3], im.Pix[at:at+3])
			to = to[3:]
			at += 3 * right
		}
		start += down
	}
	im.Release()
	return out
}
