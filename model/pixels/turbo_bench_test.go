package pixels_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

// photo is a JPEG of a photograph enlarged, with the grain that a camera would have added: 1200×900 pixels are some 200 KB.
func photo(b testing.TB, width, height int) []byte {
	b.Helper()
	small, err := pixels.Decode(read(b, "jpeg-420-photo.jpg"), roomy, true)
	if err != nil {
		b.Fatal(err)
	}
	pix := apply(b, pixels.Transform{Width: width, Height: height, Filter: pixels.Bicubic}, small)
	random := rand.New(rand.NewPCG(1, 2))
	im := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		grain := random.IntN(15) - 7
		grained := func(v byte) byte { return byte(min(max(int(v)+grain, 0), 255)) }
		im.SetRGBA(i%width, i/width, color.RGBA{grained(pix[3*i]), grained(pix[3*i+1]), grained(pix[3*i+2]), 255})
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, im, &jpeg.Options{Quality: 80}); err != nil {
		b.Fatal(err)
	}
	return file.Bytes()
}

// BenchmarkDecoders has this build's decoder beside the one in Go.
func BenchmarkDecoders(b *testing.B) {
	l := pixels.Limits{MaxBytes: 16 << 20, MaxPixels: 1 << 24, MaxSide: 1 << 13}
	for _, size := range [][2]int{{640, 480}, {1200, 900}, {4032, 3024}} {
		data := photo(b, size[0], size[1])
		for _, decoder := range []struct {
			name   string
			decode func([]byte, pixels.Limits) (*pixels.Image, error)
		}{{"go", pixels.DecodeJPEGInGo}, {"build", pixels.DecodeJPEG}} {
			b.Run(fmt.Sprintf("%dx%d/%s", size[0], size[1], decoder.name), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					im, err := decoder.decode(data, l)
					if err != nil {
						b.Fatal(err)
					}
					im.Release()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

// BenchmarkDraw is a picture's whole way to its tensor, and as two steps.
func BenchmarkDraw(b *testing.B) {
	d := pixels.Drawing{
		Limits:    pixels.Limits{MaxBytes: 16 << 20, MaxPixels: 1 << 24, MaxSide: 1 << 13},
		Orient:    true,
		Transform: pixels.Transform{Width: 224, Height: 224},
	}
	dst := make([]byte, d.Transform.Size())
	for _, size := range [][2]int{{640, 480}, {1200, 900}, {4032, 3024}} {
		data := photo(b, size[0], size[1])
		b.Run(fmt.Sprintf("%dx%d/rows", size[0], size[1]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Draw(dst, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%dx%d/whole", size[0], size[1]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				im, err := pixels.Decode(data, d.Limits, d.Orient)
				if err != nil {
					b.Fatal(err)
				}
				if err := d.Transform.Apply(dst, im); err != nil {
					b.Fatal(err)
				}
				im.Release()
			}
		})
	}
}
