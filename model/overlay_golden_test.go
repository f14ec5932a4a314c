package model

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

func TestPythonPaintsTheSame(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/overlay_golden.json")
	require.NoError(t, err)
	var golden struct {
		Height    int
		Width     int
		Pixels    []int
		CAMHeight int `json:"cam_height"`
		CAMWidth  int `json:"cam_width"`
		Cells     []float32
		Overlay   []int
	}
	require.NoError(t, json.Unmarshal(data, &golden))
	pixels := make([]uint8, len(golden.Pixels))
	for i, v := range golden.Pixels {
		pixels[i] = uint8(v)
	}
	cam := CAM{Height: golden.CAMHeight, Width: golden.CAMWidth}
	cam.Relations[schemas.Both] = golden.Cells
	got := cam.Overlay(pixels, golden.Height, golden.Width, schemas.Both)
	require.Len(t, golden.Overlay, golden.Height*golden.Width*3)
	for i, want := range golden.Overlay {
		at := i / 3
		c := got.RGBAAt(at%golden.Width, at/golden.Width)
		require.InDelta(t, want, [3]uint8{c.R, c.G, c.B}[i%3], 1, "pixel %d", at)
	}
}
