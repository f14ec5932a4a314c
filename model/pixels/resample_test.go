package pixels

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// someRows hands out rows of a picture, as many at a time as heights say, and then fails.
type someRows struct {
	pix     []uint8
	stride  int
	heights func() int
	fails   error
	given   []uint8
}

func (s *someRows) next() ([]uint8, error) {
	clear(s.given) // as memory that is used again
	if len(s.pix) == 0 {
		return nil, s.fails
	}
	n := min(s.heights()*s.stride, len(s.pix))
	s.given, s.pix = s.pix[:n], s.pix[n:]
	return s.given, nil
}

// inTwoPasses is the scaling that resample does, of a whole picture and a sample at a time.
func inTwoPasses(pix []uint8, filter Filter, x, y axis) []uint8 {
	scaleX := func(pix []uint8, rows int) []uint8 {
		var out []uint8
		for row := range rows {
			for _, s := range weigh(x, filter) {
				for channel := range 3 {
					sum := int32(1 << 21)
					for i, tap := range s.Taps {
						sum += tap * int32(pix[3*(row*x.in+s.From+i)+channel])
					}
					out = append(out, clamp(sum>>22))
				}
			}
		}
		return out
	}
	scaleY := func(pix []uint8, width int) []uint8 {
		var out []uint8
		for _, s := range weigh(y, filter) {
			for column := range 3 * width {
				sum := int32(1 << 21)
				for i, tap := range s.Taps {
					sum += tap * int32(pix[3*(s.From+i)*width+column])
				}
				out = append(out, clamp(sum>>22))
			}
		}
		return out
	}
	if y.in > y.out && y.in-y.out > 2*(x.in-x.out) {
		return scaleX(scaleY(pix, x.in), y.count)
	}
	return scaleY(scaleX(pix, y.in), x.count)
}

// TestRowsAsTheyCome draws pictures of all shapes, up and down, in strips of any height.
func TestRowsAsTheyCome(t *testing.T) {
	t.Parallel()
	side := rapid.Custom(func(t *rapid.T) int {
		return rapid.IntRange(1, rapid.SampledFrom([]int{3, 20, 150}).Draw(t, "up to")).Draw(t, "side")
	})
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.SampledFrom([]Filter{Bilinear, Bicubic}).Draw(t, "filter")
		draw := func(name string) axis {
			a := axis{in: side.Draw(t, name), out: side.Draw(t, name+" scaled")}
			a.first = rapid.IntRange(0, a.out-1).Draw(t, "first")
			a.count = rapid.IntRange(1, a.out-a.first).Draw(t, "count")
			return a
		}
		x, y := draw("width"), draw("height")
		pix := make([]uint8, 3*x.in*y.in)
		random := rand.NewChaCha8([32]byte{byte(rapid.IntRange(0, 255).Draw(t, "seed"))})
		_, _ = random.Read(pix)
		want := inTwoPasses(pix, filter, x, y)
		tallest := rapid.SampledFrom([]int{1, 8, 16, 40}).Draw(t, "tallest strip")
		strips := &someRows{pix: pix, stride: 3 * x.in, fails: io.EOF, heights: func() int {
			return 1 + rand.New(random).IntN(tallest)
		}}
		got := make([]uint8, 3*x.count*y.count)
		if err := resample(got, strips, filter, x, y); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestDrawPassesErrorsOn(t *testing.T) {
	t.Parallel()
	transform := Transform{Width: 5, Height: 5}
	dst := make([]uint8, transform.Size())
	short := func(fails error) *someRows {
		return &someRows{pix: make([]uint8, 3*9*7), stride: 3 * 9, fails: fails, heights: func() int { return 4 }}
	}
	if err := transform.draw(dst, 9, 7, short(io.EOF)); err != nil {
		t.Errorf("a whole picture: %v", err)
	}
	if err := transform.draw(dst, 9, 8, short(io.ErrNoProgress)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("an error became %v", err)
	}
	if err := transform.draw(dst, 9, 8, short(io.EOF)); err == nil || !strings.Contains(err.Error(), "after 7 of 8 rows") {
		t.Errorf("a picture that ends early: %v", err)
	}
	if err := transform.draw(dst[1:], 9, 7, nil); err == nil {
		t.Error("too small a tensor is drawn on")
	}
}

// TestDrawStopsAtTheLastRow: below it, a decoder need not go on.
func TestDrawStopsAtTheLastRow(t *testing.T) {
	t.Parallel()
	picture := &someRows{pix: make([]uint8, 3*100*300), stride: 3 * 100, heights: func() int { return 10 }}
	transform := Transform{Width: 10, Height: 10, Fit: CropCentre, ShortestEdge: 10}
	if err := transform.draw(make([]uint8, transform.Size()), 100, 300, picture); err != nil {
		t.Fatal(err)
	}
	// The middle third ends at row 200, and a triangle has width.
	if left := len(picture.pix) / picture.stride; left < 80 || left > 100 {
		t.Errorf("%d rows were not asked for, want nearly 100", left)
	}
}
