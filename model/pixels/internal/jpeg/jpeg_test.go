package jpeg_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(os.DirFS("../../testdata/images"), name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(data []byte) (*jpeg.Picture, error) {
	p, err := jpeg.Parse(data)
	if err != nil {
		return nil, err
	}
	return p, p.Decode(func(size int) []uint8 { return make([]uint8, size) })
}

// edit returns data with the bytes at an offset into the n-th segment of a marker replaced; the offset counts from behind the
// segment's length.
func edit(t testing.TB, data []byte, marker byte, offset int, with ...byte) []byte {
	t.Helper()
	data = bytes.Clone(data)
	copy(data[segment(t, data, marker)+4+offset:], with)
	return data
}

// without cuts the first segment of a marker out.
func without(t testing.TB, data []byte, marker byte) []byte {
	t.Helper()
	at := segment(t, data, marker)
	return append(bytes.Clone(data[:at]), data[at+2+int(data[at+2])<<8+int(data[at+3]):]...)
}

func segment(t testing.TB, data []byte, marker byte) int {
	t.Helper()
	for at := 2; at+4 <= len(data); at += 2 + int(data[at+2])<<8 + int(data[at+3]) {
		if data[at+1] == marker {
			return at
		}
	}
	t.Fatalf("no segment %#x", marker)
	return 0
}

// before puts bytes in front of the first segment of a marker.
func before(t testing.TB, data []byte, marker byte, insert ...byte) []byte {
	t.Helper()
	at := segment(t, data, marker)
	return append(append(bytes.Clone(data[:at]), insert...), data[at:]...)
}

const (
	sof0, dht, sos, dqt = 0xc0, 0xc4, 0xda, 0xdb
)

func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	grey, colour := read(t, "jpeg-grey.jpg"), read(t, "jpeg-444-16x16.jpg")
	progressive, restarts := read(t, "jpeg-grey-progressive.jpg"), read(t, "jpeg-444-restarts.jpg")
	body := segment(t, grey, sos) + 4 + 6
	firstRestart := bytes.Index(restarts, []byte{0xff, 0xd0})
	swapped := bytes.Clone(restarts)
	swapped[firstRestart+1] = 0xd5
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"no SOI":                     {grey[2:], "SOI"},
		"no scan":                    {[]byte("\xff\xd8\xff\xd9"), "before its first scan"},
		"no frame":                   {without(t, grey, sof0), "before the frame header"},
		"two frames":                 {before(t, grey, sos, grey[segment(t, grey, sof0):segment(t, grey, sof0)+13]...), "two frame headers"},
		"a short frame":              {before(t, grey, sof0, 0xff, sof0, 0, 4, 8, 0), "2 bytes"},
		"no width":                   {edit(t, grey, sof0, 3, 0, 0), "0×37 pixels"},
		"16-bit samples":             {edit(t, grey, sof0, 0, 16), "16 bits"},
		"no sampling":                {edit(t, grey, sof0, 7, 0x01), "sampling 0×1"},
		"sampling of five":           {edit(t, grey, sof0, 7, 0x51), "sampling 5×1"},
		"fractional sampling":        {edit(t, colour, sof0, 7, 0x31, 0, 2, 0x21), "sampled 2×1"},
		"equal components":           {edit(t, colour, sof0, 9, 1), "called 1"},
		"no quantization table":      {without(t, grey, dqt), "quantization table 0"},
		"a short quantization table": {edit(t, grey, dqt, 0, 0x10), "cut short"},
		"a fifth quantization table": {edit(t, grey, dqt, 0, 4), "table 4"},
		"no Huffman table":           {without(t, grey, dht), "was not defined"},
		"a fifth Huffman table":      {edit(t, grey, dht, 0, 4), "Huffman table 4"},
		"a long Huffman table":       {edit(t, grey, dht, 1, 255, 255), "codes is cut short"},
		"too many short codes":       {before(t, grey, sos, append([]byte{0xff, dht, 0, 22, 0, 3}, make([]byte, 18)...)...), "more codes of 1 bits"},
		"a DC size of 200":           {edit(t, grey, dht, 17, 200), "DC size 200"},
		"a tiny Huffman table":       {before(t, grey, sos, 0xff, dht, 0, 4, 0, 0), "cut short"},
		"a negative segment":         {before(t, grey, sos, 0xff, 0xe5, 0, 1), "claims 1 bytes"},
		"a segment beyond the end":   {before(t, grey[:body], sos, 0xff, 0xe5, 0xff, 0xff), "inside segment 0xe5"},
		"half a segment":             {grey[:segment(t, grey, sof0)+3], "inside segment 0xc0"},
		"a long restart interval":    {before(t, grey, sos, 0xff, 0xdd, 0, 5, 0, 1, 0), "restart interval"},
		"a height of its own":        {before(t, grey, sos, 0xff, 0xdc, 0, 4, 0, 37), "DNL"},
		"lossless":                   {before(t, grey, sof0, 0xff, 0xc3, 0, 2), "lossless"},
		"a scan of nothing":          {edit(t, grey, sos, 0, 0), "header of scan 1"},
		"a scan of a stranger":       {edit(t, grey, sos, 1, 9), "component 9"},
		"a scan of one twice":        {edit(t, colour, sos, 3, 1), "twice"},
		"Huffman table 5":            {edit(t, grey, sos, 2, 0x50), "Huffman tables 5"},
		"coefficients upside down":   {edit(t, progressive, sos, 3, 5, 3), "coefficients 5 to 3"},
		"DC and AC in one scan":      {edit(t, progressive, sos, 3, 0, 3), "coefficients 0 to 3"},
		"bits upside down":           {edit(t, progressive, sos, 5, 0x13), "bits 1 to 3"},
		"no data":                    {grey[:body], "breaks off"},
		"half the data":              {grey[:(body+len(grey))/2], "breaks off"},
		"a marker in the data":       {append(bytes.Clone(grey[:body+40]), 0xff, 0xd9), "breaks off"},
		"a wrong restart marker":     {swapped, "0xd5 in place of"},
		"no restart marker":          {append(bytes.Clone(restarts[:firstRestart]), 0), "without an EOI"},
		"progressive, no EOI":        {progressive[:len(progressive)-2], "without an EOI"},
		"not all components":         {onlyFirst(t, read(t, "jpeg-444-progressive.jpg")), "before all components"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(test.data)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
}

// onlyFirst is a progressive file that ends after the DC scan, which is made to hold component 1 alone.
func onlyFirst(t testing.TB, data []byte) []byte {
	t.Helper()
	at := segment(t, data, sos)
	header := []byte{0xff, sos, 0, 8, 1, 1, data[at+6], 0, 0, data[at+4+9]}
	return append(append(append(bytes.Clone(data[:at]), header...), make([]byte, 4000)...), 0xff, 0xd9)
}

func TestKindsThatAreNotDecoded(t *testing.T) {
	t.Parallel()
	grey := read(t, "jpeg-grey.jpg")
	for _, data := range [][]byte{
		edit(t, grey, sof0, 0, 12),
		before(t, grey, sof0, 0xff, 0xc9, 0, 2),
		edit(t, read(t, "jpeg-444-16x16.jpg"), sof0, 7, 0x31, 0, 2, 0x21),
	} {
		if _, err := decode(data); !errors.Is(err, jpeg.ErrUnsupported) {
			t.Errorf("error %v, want ErrUnsupported", err)
		}
	}
}

// emptyScan brings coefficient k of component 1, which is zero in the whole picture: the Huffman table's only code is a run
// of 32,767 blocks.
func emptyScan(k byte) []byte { return []byte{0xff, sos, 0, 8, 1, 1, 0, k, k, 0x01, 0x7f, 0xfe} }

// TestScansAreBounded: each of these scans takes twelve bytes, and passes over the whole picture.
func TestScansAreBounded(t *testing.T) {
	t.Parallel()
	data := read(t, "jpeg-444-progressive.jpg")
	table := []byte{0xff, dht, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0}
	start := append(bytes.Clone(data[:segment(t, data, sos)]), table...)
	many := bytes.Clone(start)
	for component := range byte(3) {
		for k := range byte(63) {
			scan := emptyScan(k + 1)
			scan[5] += component
			many = append(many, scan...)
		}
	}
	for k := range byte(63) {
		scan := emptyScan(k + 1)
		scan[9] = 0x10
		many = append(many, scan...)
	}
	for says, data := range map[string][]byte{
		"more than 200 scans": many,
		"out of order":        append(start, bytes.Repeat(emptyScan(1), 2)...),
	} {
		if _, err := decode(data); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v does not say %q", err, says)
		}
	}
}

// TestAComponentComesOnce repeats the scan of the first of three components, each time over the whole picture.
func TestAComponentComesOnce(t *testing.T) {
	t.Parallel()
	colour := read(t, "jpeg-444-16x16.jpg")
	at := segment(t, colour, sos)
	scan := append([]byte{0xff, sos, 0, 8, 1, colour[at+5], colour[at+6], 0, 63, 0}, make([]byte, 400)...)
	_, err := decode(append(bytes.Clone(colour[:at]), bytes.Repeat(scan, 2)...))
	if err == nil || !strings.Contains(err.Error(), "brings component 1 again") {
		t.Errorf("error %v", err)
	}
}

// TestFillBytesArePassedOnce has a picture miss its data, and a long run of fill bytes before the marker in its place. Whoever
// passes over the run for every byte that is missing does not come back before the test is given up.
func TestFillBytesArePassedOnce(t *testing.T) {
	t.Parallel()
	grey := read(t, "jpeg-grey.jpg")
	wide := edit(t, grey, sof0, 1, 0, 8, 0xff, 0xf8)
	wide = wide[:segment(t, grey, sos)+4+6]
	data := append(append(bytes.Clone(wide), bytes.Repeat([]byte{0xff}, 8<<20)...), 0xd9)
	if _, err := decode(data); err == nil || !strings.Contains(err.Error(), "breaks off") {
		t.Errorf("error %v", err)
	}
}

func TestOddButValid(t *testing.T) {
	t.Parallel()
	grey := read(t, "jpeg-grey.jpg")
	want, err := decode(grey)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"fill bytes before a marker":   before(t, grey, sof0, 0xff, 0xff, 0xff),
		"bytes between segments":       before(t, grey, sof0, 1, 2, 3, 0xff, 0),
		"a TEM marker":                 before(t, grey, sof0, 0xff, 1),
		"a comment":                    before(t, grey, sof0, 0xff, 0xfe, 0, 4, 'h', 'i'),
		"no EOI":                       grey[:len(grey)-2],
		"something behind the picture": append(bytes.Clone(grey), "more"...),
	} {
		got, err := decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(got.Components[0].Pix, want.Components[0].Pix) {
			t.Errorf("%s: another picture", name)
		}
	}
}

func TestTransformIsLibjpegs(t *testing.T) {
	t.Parallel()
	jfif, cmyk := read(t, "jpeg-444-16x16.jpg"), read(t, "jpeg-cmyk-adobe-444.jpg")
	adobe := func(transform byte) []byte {
		return append([]byte{0xff, 0xee, 0, 14}, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), transform)...)
	}
	bare := without(t, jfif, 0xe0)
	rgb := edit(t, bare, sof0, 6, 'R', 0x11, 0, 'G', 0x11, 1, 'B', 0x11, 1)
	for name, test := range map[string]struct {
		data []byte
		want jpeg.Transform
	}{
		"JFIF":                      {jfif, jpeg.YCbCr},
		"JFIF beside Adobe's RGB":   {before(t, jfif, sof0, adobe(0)...), jpeg.YCbCr},
		"bare":                      {bare, jpeg.YCbCr},
		"called R, G, B":            {rgb, jpeg.RGB},
		"called R, G, B, not so":    {before(t, rgb, sof0, adobe(1)...), jpeg.YCbCr},
		"Adobe's RGB":               {before(t, bare, sof0, adobe(0)...), jpeg.RGB},
		"Adobe's CMYK":              {cmyk, jpeg.CMYK},
		"Adobe's YCCK":              {read(t, "jpeg-ycck-adobe-444.jpg"), jpeg.YCCK},
		"four components, no Adobe": {without(t, cmyk, 0xee), jpeg.CMYK},
		"one component":             {read(t, "jpeg-grey.jpg"), jpeg.Grey},
	} {
		p, err := jpeg.Parse(test.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := p.Transform(); got != test.want {
			t.Errorf("%s: transform %d, want %d", name, got, test.want)
		}
	}
}

// TestWhatComesLateIsNotHeeded: libjpeg and Pillow know colours and orientation when the first scan begins.
func TestWhatComesLateIsNotHeeded(t *testing.T) {
	t.Parallel()
	data := without(t, read(t, "jpeg-444-progressive.jpg"), 0xe0)
	first := segment(t, data, sos)
	second := first + 2 + bytes.Index(data[first+2:], []byte{0xff, sos})
	late := bytes.Clone(data[:second])
	for marker, text := range map[byte]string{
		0xe0: "JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00", 0xe1: "Exif\x00\x00MM", 0xee: "Adobe\x00\x64\x00\x00\x00\x00\x00",
	} {
		late = append(append(late, 0xff, marker, 0, byte(2+len(text))), text...)
	}
	late = append(late, data[second:]...)
	p, err := decode(late)
	if err != nil {
		t.Fatal(err)
	}
	if p.Transform() != jpeg.YCbCr || p.EXIF != nil {
		t.Errorf("transform %d, EXIF %q", p.Transform(), p.EXIF)
	}
}
