package sheet

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/pipeline/collector/inspect/inspecttest"
)

func filled(width, height int, colour color.Color) image.Image {
	im := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(im, im.Rect, image.NewUniform(colour), image.Point{}, draw.Src)
	return im
}

var red = color.RGBA{R: 255, A: 255}

func TestDraw(t *testing.T) {
	t.Parallel()
	pairs := []Pair{
		{Image: filled(2400, 1800, red), Relation: "both", Note: "0.91", Text: "Waited three nights in the cold for this tawny owl"},
		{Image: filled(480, 180, red), Relation: "neither"},
		{Fault: "no image"},
		{Image: filled(10, 10, red), Relation: "image_adds"},
	}
	sheet, err := Draw(pairs, 3)
	require.NoError(t, err)
	assert.Equal(t, image.Pt(gap+3*(tileWidth+gap), gap+2*(tileHeight+gap)), sheet.Rect.Size())

	at := func(tile, x, y int) color.RGBA {
		return sheet.RGBAAt(gap+tile%3*(tileWidth+gap)+x, gap+tile/3*(tileHeight+gap)+y)
	}
	assert.Equal(t, red, at(0, 0, 0), "fills its box")
	assert.Equal(t, red, at(0, tileWidth-1, imageHeight-1))
	assert.Equal(t, red, at(1, 0, imageHeight/2), "as wide as its box")
	assert.Equal(t, frame, at(1, 0, imageHeight/5), "and lower")
	assert.Equal(t, red, at(3, tileWidth/2, imageHeight/2))
	assert.Equal(t, frame, at(3, tileWidth/2-6, imageHeight/2), "a small image stays small")
	assert.Equal(t, paper, at(4, tileWidth/2, imageHeight/2), "no fifth tile")

	inked := func(tile, from, to int) bool {
		for y := from; y < to; y++ {
			for x := range tileWidth {
				if c := at(tile, x, y); c != paper && c != frame {
					return true
				}
			}
		}
		return false
	}
	for line := range 1 + textLines {
		top := imageHeight + 4 + line*lineHeight
		assert.True(t, inked(0, top, top+lineHeight), "line %d", line)
	}
	assert.True(t, inked(2, 0, imageHeight), "the fault")
	assert.False(t, inked(2, imageHeight, tileHeight))

	again, err := Draw(pairs, 3)
	require.NoError(t, err)
	assert.Equal(t, sheet.Pix, again.Pix)
}

func TestOf(t *testing.T) {
	t.Parallel()
	row := inspecttest.Rows(t, 2)[1]
	p := Of(&row)
	assert.Equal(t, "image_adds", p.Relation)
	assert.Equal(t, "0.25", p.Note)
	assert.Equal(t, "Post 1 shows stripes", p.Text)
	want, err := jpeg.Decode(bytes.NewReader(row.Image))
	require.NoError(t, err)
	require.Equal(t, want.Bounds(), p.Image.Bounds())
	for _, at := range []image.Point{{}, {X: 119, Y: 89}, {X: 60, Y: 3}} {
		r, g, b, _ := want.At(at.X, at.Y).RGBA()
		gotR, gotG, gotB, a := p.Image.At(at.X, at.Y).RGBA()
		assert.InDelta(t, r, gotR, 16*0x101) // the decoders round and upsample differently
		assert.InDelta(t, g, gotG, 16*0x101)
		assert.InDelta(t, b, gotB, 16*0x101)
		assert.EqualValues(t, 0xffff, a)
	}
	row.Image = row.Image[:100]
	assert.Contains(t, Of(&row).Fault, "corrupt")
	row.Image = nil
	assert.Equal(t, "no image", Of(&row).Fault)
}

func TestDrawRefuses(t *testing.T) {
	t.Parallel()
	for name, sheet := range map[string]func() (*image.RGBA, error){
		"none":       func() (*image.RGBA, error) { return Draw(nil, 3) },
		"many":       func() (*image.RGBA, error) { return Draw(make([]Pair, MaxPairs+1), 3) },
		"no columns": func() (*image.RGBA, error) { return Draw(make([]Pair, 1), 0) },
	} {
		_, err := sheet()
		require.Error(t, err, name)
	}
}

// Whatever a text holds, its lines fit and no rune is cut.
func TestLinesFit(t *testing.T) {
	t.Parallel()
	plain, err := face(goregular.TTF)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		text := printable(strings.ToValidUTF8(rapid.String().Draw(t, "text"), ""))
		width := rapid.IntRange(20, 300).Draw(t, "width")
		line, rest := wrap(plain, text, width)
		require.LessOrEqual(t, font.MeasureString(plain, line).Floor(), width+1)
		require.Equal(t, strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(line+rest, " ", ""))
		short := fit(plain, text, width)
		require.LessOrEqual(t, font.MeasureString(plain, short).Floor(), width+1)
		require.True(t, short == text || strings.HasPrefix(text, strings.TrimSuffix(short, "…")))
	})
}
