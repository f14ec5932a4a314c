package pixels_test

import (
	"bufio"
	"encoding/json"
	"hash/crc32"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

var roomy = pixels.Limits{MaxBytes: 1 << 20, MaxPixels: 1 << 20, MaxSide: 4096}

// golden is what Pillow makes of a file: checksums, and the pixels of a small version to measure errors on.
type golden struct {
	File                       string
	Size                       [2]int
	Upright, Lying             uint32
	Small                      []byte
	Bilinear, Bicubic, Cropped uint32
}

func goldens(t testing.TB) []golden {
	t.Helper()
	file, err := os.Open("testdata/pillow.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []golden
	for rows := bufio.NewScanner(file); rows.Scan(); {
		var g golden
		if err := json.Unmarshal(rows.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

func (g golden) decode(t testing.TB, orient bool) *pixels.Image {
	t.Helper()
	im, err := pixels.Decode(read(t, g.File), roomy, orient)
	if err != nil {
		t.Fatalf("%s: %v", g.File, err)
	}
	return im
}

func apply(t testing.TB, transform pixels.Transform, im *pixels.Image) []byte {
	t.Helper()
	dst := make([]byte, transform.Size())
	if err := transform.Apply(dst, im); err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestDecodeEqualsPillow(t *testing.T) {
	t.Parallel()
	all := goldens(t)
	if len(all) < 100 {
		t.Fatalf("only %d files; is testdata complete?", len(all))
	}
	for _, g := range all {
		im := g.decode(t, true)
		if [2]int{im.Width, im.Height} != g.Size {
			t.Errorf("%s has %d×%d pixels, want %v", g.File, im.Width, im.Height, g.Size)
		}
		if crc32.ChecksumIEEE(im.Pix) != g.Upright {
			t.Errorf("%s differs from Pillow", g.File)
		}
		if lying := g.decode(t, false); crc32.ChecksumIEEE(lying.Pix) != g.Lying {
			t.Errorf("%s differs from Pillow where its orientation is ignored", g.File)
		}
	}
}

func TestApplyEqualsPillow(t *testing.T) {
	t.Parallel()
	for _, g := range goldens(t) {
		im := g.decode(t, true)
		for _, test := range []struct {
			name      string
			transform pixels.Transform
			want      uint32
		}{
			{"bilinear", pixels.Transform{Width: 64, Height: 56}, g.Bilinear},
			{"bicubic", pixels.Transform{Width: 30, Height: 40, Filter: pixels.Bicubic}, g.Bicubic},
			{"cropped", pixels.Transform{Width: 16, Height: 12, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 20}, g.Cropped},
		} {
			if crc32.ChecksumIEEE(apply(t, test.transform, im)) != test.want {
				t.Errorf("%s, %s, differs from Pillow", g.File, test.name)
			}
		}
	}
}

// TestErrorAgainstPillow prints how far each kind of file is from Pillow after decoding and scaling: should equality ever
// have to be given up, this is what remains to be judged.
func TestErrorAgainstPillow(t *testing.T) {
	t.Parallel()
	kind := regexp.MustCompile(`^(jpeg-[a-z0-9]+|[a-z]+(-lossless|-lossy)?)`)
	type errorSum struct{ files, samples, sum, worst int }
	sums := map[string]*errorSum{}
	var kinds []string
	for _, g := range goldens(t) {
		name := kind.FindString(g.File)
		if sums[name] == nil {
			sums[name] = &errorSum{}
			kinds = append(kinds, name)
		}
		s := sums[name]
		s.files++
		for i, v := range apply(t, pixels.Transform{Width: 12, Height: 10}, g.decode(t, true)) {
			off := max(int(v)-int(g.Small[i]), int(g.Small[i])-int(v))
			s.samples++
			s.sum += off
			s.worst = max(s.worst, off)
		}
	}
	slices.Sort(kinds)
	for _, name := range kinds {
		s := sums[name]
		t.Logf("%-14s %2d files, error at most %d, %.4f on average", name, s.files, s.worst, float64(s.sum)/float64(s.samples))
		if s.worst > 0 {
			t.Errorf("%s files are off by up to %d levels", name, s.worst)
		}
	}
}

func TestReleasedMemoryIsUsedAgain(t *testing.T) {
	t.Parallel()
	// Pools hand out old content: whatever is not written would show.
	all := goldens(t)
	for range 3 {
		for _, g := range all {
			im := g.decode(t, true)
			if crc32.ChecksumIEEE(im.Pix) != g.Upright {
				t.Fatalf("%s differs when decoded into used memory", g.File)
			}
			for i := range im.Pix {
				im.Pix[i] = 0xa5
			}
			im.Release()
			if im.Pix != nil {
				t.Fatal("a released image still holds its pixels")
			}
		}
	}
}

func benchmarkFile(b *testing.B, name string) {
	b.Helper()
	data := read(b, name)
	transform := pixels.Transform{Width: 224, Height: 224}
	dst := make([]byte, transform.Size())
	b.ReportAllocs()
	for b.Loop() {
		im, err := pixels.Decode(data, roomy, true)
		if err != nil {
			b.Fatal(err)
		}
		if err := transform.Apply(dst, im); err != nil {
			b.Fatal(err)
		}
		im.Release()
	}
}

func BenchmarkJPEG(b *testing.B)        { benchmarkFile(b, "jpeg-420-photo.jpg") }
func BenchmarkProgressive(b *testing.B) { benchmarkFile(b, "jpeg-420-progressive-photo.jpg") }
func BenchmarkWebP(b *testing.B)        { benchmarkFile(b, "webp-lossy-photo.webp") }
