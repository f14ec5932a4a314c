package pixels_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/itrstream/itrstream/model/pixels"
)

// BenchmarkApply tells processor time, for machines that do other work as well.
func BenchmarkApply(b *testing.B) {
	random := rand.NewChaCha8([32]byte{})
	for _, size := range [][2]int{{640, 480}, {1200, 900}, {4032, 3024}, {900, 4000}} {
		im := &pixels.Image{Width: size[0], Height: size[1], Pix: make([]byte, 3*size[0]*size[1])}
		_, _ = random.Read(im.Pix)
		for _, test := range []struct {
			name      string
			transform pixels.Transform
		}{
			{"bilinear", pixels.Transform{Width: 224, Height: 224}},
			{"cropped", pixels.Transform{Width: 224, Height: 224, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 256}},
		} {
			b.Run(fmt.Sprintf("%dx%d/%s", size[0], size[1], test.name), func(b *testing.B) {
				dst := make([]byte, test.transform.Size())
				b.ReportAllocs()
				before := processorTime(b)
				for b.Loop() {
					if err := test.transform.Apply(dst, im); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
