package pixels_test

import (
	"bufio"
	"encoding/json"
	"hash/crc32"
	"os"
	"slices"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

// draftTensors are those of testdata/draft.py.
var draftTensors = []pixels.Transform{
	{Width: 64, Height: 56},
	{Width: 30, Height: 40},
	{Width: 13, Height: 7},
	{Width: 7, Height: 13},
	{Width: 4, Height: 3},
	{Width: 1, Height: 1},
	{Width: 10, Height: 8, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 12},
	{Width: 3, Height: 2, Filter: pixels.Bicubic, Fit: pixels.CropCentre, ShortestEdge: 3},
}

// TestDraftEqualsPillow also has the files that libjpeg-turbo does not take: of them a draft is the whole picture.
func TestDraftEqualsPillow(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/draft.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	drafted := map[int]int{} // how often, by denominator
	for rows := bufio.NewScanner(file); rows.Scan(); {
		var want struct {
			File    string
			Scales  []int
			Tensors []uint32
		}
		if err := json.Unmarshal(rows.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		data := read(t, want.File)
		for i, transform := range draftTensors {
			d := pixels.Drawing{Limits: roomy, Orient: true, Transform: transform, Draft: true}
			if pixels.TurboTakes(data) {
				drafted[want.Scales[i]]++
			} else {
				whole := d
				whole.Draft = false
				want.Tensors[i] = crc32.ChecksumIEEE(drawn(t, whole, data))
			}
			if crc32.ChecksumIEEE(drawn(t, d, data)) != want.Tensors[i] {
				t.Errorf("%s at 1/%d, %+v, differs from Pillow", want.File, want.Scales[i], transform)
			}
		}
	}
	for _, denominator := range []int{1, 2, 4, 8} {
		if pixels.CanDraft && drafted[denominator] < 20 {
			t.Errorf("only %d drafts at 1/%d", drafted[denominator], denominator)
		}
	}
}

func drawn(t *testing.T, d pixels.Drawing, data []byte) []byte {
	t.Helper()
	dst := make([]byte, d.Transform.Size())
	if err := d.Draw(dst, data); err != nil {
		t.Fatal(err)
	}
	return dst
}

// TestOneDraftIsNotTheOther: the golden files say nothing where drafts had the pixels of whole pictures.
func TestOneDraftIsNotTheOther(t *testing.T) {
	t.Parallel()
	d := pixels.Drawing{Limits: roomy, Transform: pixels.Transform{Width: 13, Height: 7}}
	data := read(t, "jpeg-420-photo.jpg")
	whole := drawn(t, d, data)
	d.Draft = true
	if slices.Equal(whole, drawn(t, d, data)) == pixels.CanDraft {
		t.Errorf("a draft is the same as the whole picture, and this build has drafts: %t", pixels.CanDraft)
	}
}
