package pixels_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

func TestTransformRefuses(t *testing.T) {
	t.Parallel()
	good := &pixels.Image{Width: 2, Height: 2, Pix: make([]byte, 12)}
	for name, test := range map[string]struct {
		transform pixels.Transform
		image     *pixels.Image
		size      int
		says      string
	}{
		"the zero value":     {pixels.Transform{}, good, 0, "0×0 pixels"},
		"an unknown filter":  {pixels.Transform{Width: 1, Height: 1, Filter: 7}, good, 3, "filter 7"},
		"an unknown fit":     {pixels.Transform{Width: 1, Height: 1, Fit: 7}, good, 3, "fit 7"},
		"an idle edge":       {pixels.Transform{Width: 1, Height: 1, ShortestEdge: 7}, good, 3, "CropCentre only"},
		"too short an edge":  {pixels.Transform{Width: 4, Height: 8, Fit: pixels.CropCentre, ShortestEdge: 7}, good, 96, "shortest edge of 7"},
		"too small a tensor": {pixels.Transform{Width: 2, Height: 2}, good, 11, "12 bytes"},
		"a released image":   {pixels.Transform{Width: 2, Height: 2}, &pixels.Image{}, 12, "0×0 pixels"},
		"half an image":      {pixels.Transform{Width: 2, Height: 2}, &pixels.Image{Width: 2, Height: 2, Pix: make([]byte, 6)}, 12, "6 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.transform.Apply(make([]byte, test.size), test.image)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
}

// TestApplyKeepsFlatColours holds for any filter and shape: weights add up to one.
func TestApplyKeepsFlatColours(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {1, 999}, {999, 1}, {37, 53}, {1024, 700}} {
		im := &pixels.Image{Width: size[0], Height: size[1], Pix: bytes.Repeat([]byte{255, 0, 97}, size[0]*size[1])}
		for _, transform := range []pixels.Transform{
			{Width: 13, Height: 17},
			{Width: 13, Height: 17, Filter: pixels.Bicubic},
			{Width: 13, Height: 17, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 20},
		} {
			if got := apply(t, transform, im); !bytes.Equal(got, bytes.Repeat([]byte{255, 0, 97}, 13*17)) {
				t.Errorf("%v of a flat %v image is not flat", transform, size)
			}
		}
	}
}

func TestApplyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	transform := pixels.Transform{Width: 40, Height: 30, Filter: pixels.Bicubic}
	all := goldens(t)[:20]
	want := make([][]byte, len(all))
	for i, g := range all {
		want[i] = apply(t, transform, g.decode(t, true))
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i, g := range all {
				im := g.decode(t, true)
				if !bytes.Equal(apply(t, transform, im), want[i]) {
					t.Errorf("%s came out otherwise beside others", g.File)
				}
				im.Release()
			}
		})
	}
	group.Wait()
}
