package sheet

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
)

// Pair is one tile.
type Pair struct {
	Image    image.Image // nil: the tile says Fault instead
	Fault    string
	Relation string
	Note     string // beside the relation
	Text     string // as much as fits on two lines
}

// Sizes in pixels.
const (
	tileWidth   = 240
	imageHeight = 180
	lineHeight  = 17
	textLines   = 2
	tileHeight  = imageHeight + (1+textLines)*lineHeight + 8
	gap         = 12
	fontSize    = 12

	// MaxPairs fit on one sheet: 20 MB of pixels.
	MaxPairs = 400
)

// Draw lays the pairs out in rows from the top left, columns of them side by side.
func Draw(pairs []Pair, columns int) (*image.RGBA, error) {
	if len(pairs) == 0 || len(pairs) > MaxPairs {
		return nil, fmt.Errorf("sheet: %d pairs: a sheet has 1 to %d", len(pairs), MaxPairs)
	}
	if columns < 1 || columns > MaxPairs {
		return nil, fmt.Errorf("sheet: %d columns: a sheet has 1 to %d", columns, MaxPairs)
	}
	columns = min(columns, len(pairs))
	rows := (len(pairs) + columns - 1) / columns
	sheet := image.NewRGBA(image.Rect(0, 0, gap+columns*(tileWidth+gap), gap+rows*(tileHeight+gap)))
	draw.Draw(sheet, sheet.Rect, image.NewUniform(paper), image.Point{}, draw.Src)
	plain, err := face(goregular.TTF)
	if err != nil {
		return nil, err
	}
	bold, err := face(gobold.TTF)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	p := pen{sheet: sheet, plain: plain, bold: bold}
	for i, pair := range pairs {
		p.tile(image.Pt(gap+i%columns*(tileWidth+gap), gap+i/columns*(tileHeight+gap)), pair)
	}
	return sheet, errors.Join(plain.Close(), bold.Close())
}

func face(ttf []byte) (font.Face, error) {
	f, err := opentype.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("sheet: %w", err)
	}
	made, err := opentype.NewFace(f, &opentype.FaceOptions{Size: fontSize, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, fmt.Errorf("sheet: %w", err)
	}
	return made, nil
}

var (
	paper = color.RGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xff}
	frame = color.RGBA{R: 0xe8, G: 0xe8, B: 0xe8, A: 0xff}
	ink   = color.RGBA{R: 0x20, G: 0x20, B: 0x20, A: 0xff}
	faint = color.RGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff}

	// One colour a relation, told apart by those who see few (Okabe and Ito).
	relations = map[string]color.RGBA{
		"neither":          {R: 0x70, G: 0x70, B: 0x70, A: 0xff},
		"image_adds":       {R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
		"text_represented": {R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
		"both":             {R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
	}
)
