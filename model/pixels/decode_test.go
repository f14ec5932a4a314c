package pixels_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data []byte
		want error
		says string
	}{
		"nothing":        {nil, pixels.ErrFormat, "0 bytes"},
		"text":           {[]byte("<!DOCTYPE html><html>"), pixels.ErrFormat, `"<!DOCTYPE ht"`},
		"BMP":            {[]byte("BM6\x00\x00\x00\x00\x00\x00\x00"), pixels.ErrFormat, "no JPEG, PNG, GIF or WebP"},
		"a bare SOI":     {[]byte("\xff\xd8\xff"), pixels.ErrCorrupt, "JPEG"},
		"a bare PNG":     {[]byte("\x89PNG\r\n\x1a\n"), pixels.ErrCorrupt, "IHDR"},
		"a bare GIF":     {[]byte("GIF89a"), pixels.ErrCorrupt, "too early"},
		"an empty GIF":   {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), pixels.ErrCorrupt, "no picture"},
		"an empty WebP":  {[]byte("RIFF\x04\x00\x00\x00WEBP"), pixels.ErrCorrupt, "no picture"},
		"arithmetic":     {frameOnly(0xc9, 8, 8, 8, 1), pixels.ErrFormat, "0xc9"},
		"12 bits":        {frameOnly(0xc1, 12, 8, 8, 1), pixels.ErrFormat, "12 bits"},
		"two components": {frameOnly(0xc0, 8, 8, 8, 2), pixels.ErrFormat, "2 components"},
		"a long GIF":     {append([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00"), 2, 0), pixels.ErrTooLarge, "65535"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pixels.Decode(test.data, roomy, true)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.says)
			}
		})
	}
}

// frameOnly is a JPEG that ends behind its frame header and an empty scan header.
func frameOnly(marker byte, bits, width, height, components byte) []byte {
	data := []byte{0xff, 0xd8, 0xff, marker, 0, 8 + 3*components, bits, 0, height, 0, width, components}
	for i := range components {
		data = append(data, i, 0x11, 0)
	}
	return append(data, 0xff, 0xda, 0, 2, 0xff, 0xd9)
}

// TestDecodeChecksSizeFirst declares huge pictures in small files: the answer must come from the header.
func TestDecodeChecksSizeFirst(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	jpeg := read(t, "jpeg-420-16x16.jpg")
	sof := bytes.Index(jpeg, []byte{0xff, 0xc0})
	copy(jpeg[sof+5:], []byte{0xff, 0xdc, 0xff, 0xdc})

	png := read(t, "png-rgb.png")
	binary.BigEndian.PutUint32(png[16:], 1<<31-1)
	binary.BigEndian.PutUint32(png[29:], crc32.ChecksumIEEE(png[12:29]))

	gif := read(t, "gif-plain.gif")
	copy(gif[6:], []byte{0xff, 0xff, 0xff, 0xff})

	lossy := read(t, "webp-lossy-16x16.webp")
	start := bytes.Index(lossy, []byte{0x9d, 0x01, 0x2a})
	copy(lossy[start+3:], []byte{0xff, 0x3f, 0xff, 0x3f})

	lossless := read(t, "webp-lossless.webp")
	copy(lossless[bytes.Index(lossless, []byte("VP8L"))+9:], []byte{0xff, 0xff, 0xff, 0x0f})

	canvas := read(t, "webp-animated-offset.webp")
	copy(canvas[bytes.Index(canvas, []byte("VP8X"))+12:], []byte{0xff, 0xff, 0x3f, 0xff, 0xff, 0x3f})

	for name, data := range map[string][]byte{"JPEG": jpeg, "PNG": png, "GIF": gif, "lossy WebP": lossy, "lossless WebP": lossless, "WebP canvas": canvas} {
		for limit, l := range map[string]pixels.Limits{
			"side":   {MaxBytes: 1 << 20, MaxPixels: 1 << 62, MaxSide: 4096},
			"pixels": {MaxBytes: 1 << 20, MaxPixels: 1 << 24, MaxSide: 1<<31 - 1},
		} {
			const times = 10
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				if _, err := pixels.Decode(data, l, true); !errors.Is(err, pixels.ErrTooLarge) {
					t.Fatalf("%s, limit on %s: error %v", name, limit, err)
				}
			}
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) / times
			if allocated > 64<<10 {
				t.Errorf("%s, limit on %s: %d bytes were taken before it was refused", name, limit, allocated)
			}
		}
	}
}

func TestLimitsAreExact(t *testing.T) {
	t.Parallel()
	for _, g := range []golden{{File: "jpeg-420-31x47.jpg", Size: [2]int{31, 47}}, {File: "jpeg-444-64x49.jpg", Size: [2]int{64, 49}}} {
		data := read(t, g.File)
		exact := pixels.Limits{MaxBytes: int64(len(data)), MaxPixels: int64(g.Size[0] * g.Size[1]), MaxSide: max(g.Size[0], g.Size[1])}
		if _, err := pixels.Decode(data, exact, true); err != nil {
			t.Errorf("%s within its limits: %v", g.File, err)
		}
		for name, l := range map[string]pixels.Limits{
			"bytes":      {MaxBytes: exact.MaxBytes - 1, MaxPixels: exact.MaxPixels, MaxSide: exact.MaxSide},
			"pixels":     {MaxBytes: exact.MaxBytes, MaxPixels: exact.MaxPixels - 1, MaxSide: exact.MaxSide},
			"side":       {MaxBytes: exact.MaxBytes, MaxPixels: exact.MaxPixels, MaxSide: exact.MaxSide - 1},
			"everything": {},
		} {
			if _, err := pixels.Decode(data, l, true); !errors.Is(err, pixels.ErrTooLarge) {
				t.Errorf("%s, limit on %s: error %v", g.File, name, err)
			}
		}
	}
}

// TestTruncatedFilesAreCorrupt cuts every file at several places. Only what comes after the last pixel may be missing.
func TestTruncatedFilesAreCorrupt(t *testing.T) {
	t.Parallel()
	for _, g := range goldens(t) {
		data := read(t, g.File)
		for _, tenths := range []int{1, 3, 5, 7, 9} {
			cut := data[:len(data)*tenths/10]
			im, err := pixels.Decode(cut, roomy, false)
			switch {
			case errors.Is(err, pixels.ErrCorrupt), errors.Is(err, pixels.ErrFormat) && len(cut) < 16:
			case err != nil:
				t.Errorf("%s cut at %d of %d bytes: %v", g.File, len(cut), len(data), err)
			case crc32.ChecksumIEEE(im.Pix) != g.Lying:
				t.Errorf("%s cut at %d of %d bytes was decoded into another picture", g.File, len(cut), len(data))
			}
		}
	}
	photo := read(t, "jpeg-420-photo.jpg")
	for _, missing := range []int{3, 20, 200, len(photo) / 2} {
		if _, err := pixels.Decode(photo[:len(photo)-missing], roomy, true); !errors.Is(err, pixels.ErrCorrupt) {
			t.Errorf("a JPEG without its last %d bytes: error %v", missing, err)
		}
	}
}

func TestGuardTurnsPanicsIntoErrors(t *testing.T) {
	t.Parallel()
	err := pixels.Guard(func() error { panic("index out of range") })
	if !errors.Is(err, pixels.ErrCorrupt) || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("error %v", err)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(os.DirFS("testdata/images"), name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzDecode(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(read(f, g.File))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := pixels.Limits{MaxBytes: 1 << 20, MaxPixels: 1 << 16, MaxSide: 1 << 10}
		im, err := pixels.DecodeUnguarded(data, l)
		if err != nil {
			if !errors.Is(err, pixels.ErrFormat) && !errors.Is(err, pixels.ErrCorrupt) && !errors.Is(err, pixels.ErrTooLarge) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		defer im.Release()
		if im.Width < 1 || im.Height < 1 || im.Width > l.MaxSide || im.Height > l.MaxSide || len(im.Pix) != 3*im.Width*im.Height {
			t.Fatalf("an image of %d×%d pixels and %d bytes", im.Width, im.Height, len(im.Pix))
		}
		if room := pixels.Room(data, l); room < int64(im.Width)*int64(im.Height) {
			t.Fatalf("room for %d pixels, it has %d×%d", room, im.Width, im.Height)
		}
		for _, transform := range []pixels.Transform{
			{Width: 5, Height: 3},
			{Width: 4, Height: 6, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 8},
		} {
			apply(t, transform, im)
		}
	})
}
