package pixels_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

// transforms are one of each way through the resampler.
var transforms = []pixels.Transform{
	{Width: 64, Height: 56},
	{Width: 30, Height: 40, Filter: pixels.Bicubic},
	{Width: 200, Height: 2},
	{Width: 16, Height: 12, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 20},
	{Width: 4, Height: 4, Fit: pixels.CropCentre, ShortestEdge: 40}, // leaves many rows unread
}

// sameDrawing compares Draw with Decode and Apply.
func sameDrawing(d pixels.Drawing, data []byte) error {
	want, got := make([]byte, d.Transform.Size()), make([]byte, d.Transform.Size())
	im, wantErr := pixels.Decode(data, d.Limits, d.Orient)
	if wantErr == nil {
		wantErr = d.Transform.Apply(want, im)
		im.Release()
	}
	err := d.Draw(got, data)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		return fmt.Errorf("error %w, of Decode and Apply %w", err, wantErr)
	}
	if err == nil && !bytes.Equal(got, want) {
		return errors.New("the tensor differs from that of Decode and Apply")
	}
	return nil
}

func TestDrawIsDecodeAndApply(t *testing.T) {
	t.Parallel()
	files := refused(t)
	for _, g := range goldens(t) {
		files[g.File] = read(t, g.File)
		files[g.File+", cut"] = files[g.File][:len(files[g.File])*2/3]
	}
	photo := read(t, "jpeg-420-photo.jpg")
	files["a photo without its last bytes"] = photo[:len(photo)-20]
	files["text"] = []byte("<!DOCTYPE html><html>")
	for name, data := range files {
		for _, transform := range transforms {
			for _, orient := range []bool{false, true} {
				if err := sameDrawing(pixels.Drawing{Limits: roomy, Orient: orient, Transform: transform}, data); err != nil {
					t.Errorf("%s, %+v, orient %t: %v", name, transform, orient, err)
				}
			}
		}
	}
}

func TestDrawRefusesAShortTensor(t *testing.T) {
	t.Parallel()
	d := pixels.Drawing{Limits: roomy, Transform: transforms[0]}
	for _, name := range []string{"jpeg-420-photo.jpg", "png-rgb.png"} {
		if err := d.Draw(make([]byte, d.Transform.Size()-1), read(t, name)); err == nil || !strings.Contains(err.Error(), "the tensor takes") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestDrawAsksForRoom: for rows where these are scaled as they come, and for the whole picture where it must be there.
func TestDrawAsksForRoom(t *testing.T) {
	t.Parallel()
	files := refused(t)
	// Its first half tells nothing of the damage.
	damaged := read(t, "jpeg-420-photo.jpg")
	files["a damaged photo"] = append(damaged[:len(damaged)-200], 0xff, 0xd9)
	for _, name := range []string{"jpeg-420-photo.jpg", "jpeg-420-progressive-photo.jpg", "jpeg-cmyk.jpg", "exif-6.jpg", "png-rgb.png"} {
		files[name] = read(t, name)
	}
	for name, want := range map[string]string{
		"jpeg-420-photo.jpg":             "rows",
		"jpeg-420-progressive-photo.jpg": "more rows",
		"jpeg-cmyk.jpg":                  "whole",
		"exif-6.jpg":                     "whole",
		"png-rgb.png":                    "whole",
		"bytes between segments":         "rows whole",
		"a damaged photo":                "rows whole",
	} {
		if !pixels.WithTurbo {
			want = "whole"
		}
		var asked []string
		d := pixels.Drawing{Limits: roomy, Orient: true, Transform: transforms[0], Room: func(n int64) error {
			switch n {
			case pixels.Room(files[name], roomy):
				asked = append(asked, "whole")
			case 32 * 208, 32 * 32: // the photo is 200 pixels wide, and the small file 31
				asked = append(asked, "rows")
			default:
				asked = append(asked, "more rows")
			}
			return nil
		}}
		_ = d.Draw(make([]byte, d.Transform.Size()), files[name])
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%s: asked for %s, want %s", name, got, want)
		}
	}
}

func TestNoRoomEndsADrawing(t *testing.T) {
	t.Parallel()
	none := errors.New("none is left")
	for name, data := range map[string][]byte{
		"rows":     read(t, "jpeg-420-photo.jpg"),
		"whole":    read(t, "png-rgb.png"),
		"fallback": refused(t)["bytes between segments"],
	} {
		left := 0
		if name == "fallback" && pixels.WithTurbo {
			left = 1
		}
		d := pixels.Drawing{Limits: roomy, Transform: transforms[0], Room: func(int64) error {
			if left--; left < 0 {
				return none
			}
			return nil
		}}
		if err := d.Draw(make([]byte, d.Transform.Size()), data); !errors.Is(err, none) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestDrawTakesTheRoomItAsksFor measures the process at its largest, C included.
func TestDrawTakesTheRoomItAsksFor(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	for name, size := range map[string][2]int{"high": {512, 12_000}, "wide": {12_000, 512}} {
		data := photo(t, size[0], size[1])
		most := int64(0)
		d := pixels.Drawing{
			Limits: pixels.Limits{MaxBytes: 1 << 26, MaxPixels: 1 << 26, MaxSide: 1 << 14}, Transform: pixels.Transform{Width: 64, Height: 64},
			Room: func(n int64) error {
				most = max(most, 20*n)
				return nil
			},
		}
		before := resident(t)
		forgetPeak(t)
		if err := d.Draw(make([]byte, d.Transform.Size()), data); err != nil {
			t.Fatal(err)
		}
		// Threads, and what the allocators have beside.
		const slack = 4 << 20
		if grown := peak(t) - before; grown > most+slack {
			t.Errorf("%s: %d bytes more were resident, for %d it had asked", name, grown, most)
		}
	}
}

// forgetPeak lets peak begin anew.
func forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// peak is the most that was resident, in bytes.
func peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
