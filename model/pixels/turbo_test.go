package pixels_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

// jpegs are the golden files of the format.
func jpegs(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, g := range goldens(t) {
		if strings.HasSuffix(g.File, ".jpg") {
			files[g.File] = read(t, g.File)
		}
	}
	if len(files) < 50 {
		t.Fatalf("only %d JPEGs; is testdata complete?", len(files))
	}
	return files
}

// compare decodes data in both ways: the outcome is to be the same, down to the words of an error, but for files with the
// damage that libjpeg passes over.
func compare(data []byte, l pixels.Limits) error {
	want, loud, wantErr := pixels.MeasureJPEG(data, l)
	got, err := pixels.DecodeJPEG(data, l)
	if errors.Is(wantErr, pixels.ErrCode) || loud {
		if pixels.TurboTakes(data) {
			if err != nil {
				return fmt.Errorf("it is taken, and error %w", err)
			}
			defer got.Release()
			if want != nil && (got.Width != want.Width || got.Height != want.Height) {
				return fmt.Errorf("%d×%d pixels, in Go %d×%d", got.Width, got.Height, want.Width, want.Height)
			}
			return nil
		}
	}
	if wantErr != nil || err != nil {
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			return fmt.Errorf("error %w, in Go %w", err, wantErr)
		}
		return nil
	}
	defer want.Release()
	defer got.Release()
	if err := sameDrawing(pixels.Drawing{Limits: l, Orient: true, Transform: transforms[3]}, data); err != nil {
		return err
	}
	if got.Width != want.Width || got.Height != want.Height || !bytes.Equal(got.Pix, want.Pix) {
		for i := range min(len(got.Pix), len(want.Pix)) {
			if got.Pix[i] != want.Pix[i] {
				at := i / 3
				return fmt.Errorf("%d×%d pixels, in Go %d×%d; (%d, %d) is %d, in Go %d", got.Width, got.Height, want.Width, want.Height,
					at%want.Width, at/want.Width, got.Pix[i], want.Pix[i])
			}
		}
		return fmt.Errorf("%d×%d pixels, in Go %d×%d", got.Width, got.Height, want.Width, want.Height)
	}
	return nil
}

func TestTurboEqualsGo(t *testing.T) {
	t.Parallel()
	for name, data := range jpegs(t) {
		if err := compare(data, roomy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTurboEqualsGoOnHostileFiles takes the corpora of the packages that read images from strangers.
func TestTurboEqualsGoOnHostileFiles(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, corpus := range []string{"../../stages/media/testdata/hostile", "../../stages/decode/testdata/hostile", "../../connectors/media/testdata/hostile"} {
		err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			seen++
			if err := compare(data, roomy); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if seen < 10 {
		t.Errorf("only %d files", seen)
	}
}

// TestTurboEqualsGoOnDamage flips bits, drops, repeats and overwrites bytes behind the magic.
func TestTurboEqualsGoOnDamage(t *testing.T) {
	t.Parallel()
	const rounds = 60
	for name, data := range jpegs(t) {
		random := rand.New(rand.NewPCG(7, uint64(len(name))))
		for round := range rounds {
			if err := compare(damage(random, data), roomy); err != nil {
				t.Fatalf("%s, round %d: %v", name, round, err)
			}
		}
	}
}

func damage(random *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	for range 1 + random.IntN(4) {
		at := 3 + random.IntN(len(data)-4)
		switch random.IntN(5) {
		case 0, 1:
			data[at] ^= 1 << random.IntN(8)
		case 2:
			data[at] = byte(random.Uint32())
		case 3:
			data = append(data[:at], data[min(at+1+random.IntN(8), len(data)-2):]...)
		case 4:
			data = append(data[:at:at], data[max(3, at-random.IntN(64)):]...)
		}
	}
	return data
}

// TestTurboTakesWhatIsPlain: equality says nothing where all files went to Go.
func TestTurboTakesWhatIsPlain(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{
		"jpeg-420-photo.jpg": true, "jpeg-420-31x47.jpg": true, "jpeg-422-64x49.jpg": true, "jpeg-444-noise.jpg": true, "jpeg-420-quality1.jpg": true,
		"jpeg-420-quality100.jpg": true, "jpeg-grey.jpg": true, "jpeg-rgb.jpg": true, "jpeg-420-restarts.jpg": true, "exif-6.jpg": true,
		"jpeg-420-progressive.jpg": true, "jpeg-422-progressive-restarts.jpg": true, "jpeg-grey-progressive.jpg": true, "jpeg-cmyk.jpg": false, "jpeg-ycck-adobe-420.jpg": false, "jpeg-411.jpg": false, "jpeg-440.jpg": false,
	} {
		if got := pixels.TurboTakes(read(t, name)); got != (plain && pixels.WithTurbo) {
			t.Errorf("%s: libjpeg-turbo takes it: %t", name, got)
		}
	}
}

// refused are files that are good in Go, and that libjpeg warns of: in the header, and in the middle of the data.
func refused(t testing.TB) map[string][]byte {
	t.Helper()
	small := read(t, "jpeg-420-31x47.jpg")
	restarts := read(t, "jpeg-420-restarts.jpg")
	at := bytes.Index(restarts, []byte{0xff, 0xd2})
	if at < 0 {
		t.Fatal("the file has no third restart marker")
	}
	return map[string][]byte{
		"bytes between segments": append([]byte{0xff, 0xd8, 0xff, 0xfe, 0, 2, 1, 2, 3}, small[2:]...),
		"bytes before a restart": append(append(bytes.Clone(restarts[:at]), 0, 0, 0), restarts[at:]...),
	}
}

func TestWhatTurboRefusesIsDecodedInGo(t *testing.T) {
	t.Parallel()
	for name, data := range refused(t) {
		if _, err := pixels.DecodeJPEG(data, roomy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := compare(data, roomy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if pixels.TurboTakes(data) {
			t.Errorf("%s: libjpeg-turbo takes it", name)
		}
	}
}

// TestWhatTurboPassesOver has one file of each kind that it takes, and Go refuses or rounds otherwise: a bit was flipped.
func TestWhatTurboPassesOver(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		at   int
		bit  uint8
		want error
		loud bool
	}{
		{"jpeg-444-noise.jpg", 4196, 0, pixels.ErrCode, false},
		{"jpeg-420-31x47.jpg", 619, 4, nil, true},
	} {
		data := read(t, test.name)
		data[test.at] ^= 1 << test.bit
		_, loud, err := pixels.MeasureJPEG(data, roomy)
		if loud != test.loud || !errors.Is(err, test.want) {
			t.Errorf("%s: in Go, error %v, loud: %t", test.name, err, loud)
		}
		if pixels.TurboTakes(data) != pixels.WithTurbo {
			t.Errorf("%s: libjpeg-turbo does not take it", test.name)
		}
	}
}

// TestTurboGivesItsMemoryBack: a refusal leaves the library by a jump.
func TestTurboGivesItsMemoryBack(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	files := refused(t)
	files["taken"] = read(t, "jpeg-420-31x47.jpg")
	files["progressive"] = read(t, "jpeg-444-progressive.jpg")
	files["progressive, damaged"] = bytes.Replace(files["progressive"], []byte{0xff, 0xda}, []byte{1, 0xff, 0xda}, 1)
	crop := pixels.Drawing{Limits: roomy, Transform: pixels.Transform{Width: 4, Height: 4, Fit: pixels.CropCentre, ShortestEdge: 16}}
	dst := make([]byte, crop.Transform.Size())
	decode := func(times int) {
		for range times {
			for _, data := range files {
				if im, err := pixels.DecodeJPEG(data, roomy); err == nil {
					im.Release()
				}
				_ = crop.Draw(dst, data)
				_ = crop.Draw(nil, data) // the library has begun when it is seen
			}
		}
	}
	decode(20)
	before := resident(t)
	// One decompressor has at least 20 KB.
	decode(2000)
	if grown := resident(t) - before; grown > 16<<20 {
		t.Errorf("%d bytes more are resident", grown)
	}
}

// resident is the process's memory in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(status), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestTurboAtTheSameTime(t *testing.T) {
	t.Parallel()
	files := jpegs(t)
	for name, data := range refused(t) {
		files[name] = data
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for name, data := range files {
				if err := compare(data, roomy); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	all.Wait()
}

// FuzzJPEGTurbo compares the decoders: libjpeg-turbo gives the pixels of Go, or leaves the file to Go, or the file has the damage
// that it passes over. In a build without the library there is nothing to find.
func FuzzJPEGTurbo(f *testing.F) {
	for _, data := range jpegs(f) {
		f.Add(data)
	}
	for _, data := range refused(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := compare(data, pixels.Limits{MaxBytes: 1 << 20, MaxPixels: 1 << 16, MaxSide: 1 << 10}); err != nil {
			t.Fatal(err)
		}
	})
}
