package pixels

import (
	"encoding/binary"
	"slices"
	"testing"
)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// exifEntry is a TIFF structure of one directory with one entry.
func exifEntry(order byteOrder, tag, kind uint16, count, value uint32) []byte {
	exif := []byte("II*\x00")
	if order.Uint16([]byte{1, 0}) != 1 {
		exif = []byte("MM\x00*")
	}
	exif = order.AppendUint32(exif, 8)
	exif = order.AppendUint16(exif, 1)
	exif = order.AppendUint16(exif, tag)
	exif = order.AppendUint16(exif, kind)
	exif = order.AppendUint32(exif, count)
	if kind == 3 {
		return order.AppendUint16(order.AppendUint16(exif, uint16(value)), 0)
	}
	return order.AppendUint32(exif, value)
}

func TestEXIFOrientation(t *testing.T) {
	t.Parallel()
	little, big := binary.LittleEndian, binary.BigEndian
	for name, test := range map[string]struct {
		exif []byte
		want orientation
	}{
		"short, little endian": {exifEntry(little, 0x112, 3, 1, 6), quarterRight},
		"short, big endian":    {exifEntry(big, 0x112, 3, 1, 8), quarterLeft},
		"long":                 {exifEntry(big, 0x112, 4, 1, 3), upsideDown},
		"behind its prefix":    {append([]byte("Exif\x00\x00"), exifEntry(little, 0x112, 3, 1, 2)...), mirrored},
		"beyond eight":         {exifEntry(little, 0x112, 3, 1, 9), 0},
		"zero":                 {exifEntry(little, 0x112, 3, 1, 0), 0},
		"two values":           {exifEntry(little, 0x112, 3, 2, 6), 0},
		"a fraction":           {exifEntry(little, 0x112, 5, 1, 6), 0},
		"another tag":          {exifEntry(little, 0x110, 3, 1, 6), 0},
		"nothing":              {nil, 0},
		"not TIFF":             {[]byte("PK\x03\x04 and more"), 0},
		"directory far away":   {[]byte("II*\x00\xff\xff\xff\xff"), 0},
		"directory cut short":  {exifEntry(little, 0x112, 3, 1, 6)[:16], 0},
	} {
		if got := exifOrientation(test.exif); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestXMPOrientation(t *testing.T) {
	t.Parallel()
	for xmp, want := range map[string]orientation{
		`<rdf:Description tiff:Orientation="6"/>`: quarterRight,
		`<tiff:Orientation>3</tiff:Orientation>`:  upsideDown,
		`<tiff:Orientation>9</tiff:Orientation>`:  0,
		`tiff:Orientation='6'`:                    0,
		`tiff:Orientation="`:                      0,
		``:                                        0,
	} {
		if got := xmpOrientation([]byte(xmp)); got != want {
			t.Errorf("%q: %d, want %d", xmp, got, want)
		}
	}
}

// TestTurn turns
//
//	1 2 3
//	4 5 6
func TestTurn(t *testing.T) {
	t.Parallel()
	for o, want := range map[orientation]struct {
		width int
		reds  []uint8
	}{
		0:            {3, []uint8{1, 2, 3, 4, 5, 6}},
		upright:      {3, []uint8{1, 2, 3, 4, 5, 6}},
		mirrored:     {3, []uint8{3, 2, 1, 6, 5, 4}},
		upsideDown:   {3, []uint8{6, 5, 4, 3, 2, 1}},
		flipped:      {3, []uint8{4, 5, 6, 1, 2, 3}},
		transposed:   {2, []uint8{1, 4, 2, 5, 3, 6}},
		quarterRight: {2, []uint8{4, 1, 5, 2, 6, 3}},
		transversed:  {2, []uint8{6, 3, 5, 2, 4, 1}},
		quarterLeft:  {2, []uint8{3, 6, 2, 5, 1, 4}},
	} {
		im := newImage(3, 2)
		for i := range 6 {
			copy(im.Pix[3*i:], []uint8{uint8(i + 1), 7, 8})
		}
		turned := o.turn(im)
		var reds []uint8
		for i := 0; i < len(turned.Pix); i += 3 {
			reds = append(reds, turned.Pix[i])
		}
		if turned.Width != want.width || turned.Width*turned.Height != 6 || !slices.Equal(reds, want.reds) {
			t.Errorf("orientation %d: %d×%d %d, want width %d %d", o, turned.Width, turned.Height, reds, want.width, want.reds)
		}
	}
}
