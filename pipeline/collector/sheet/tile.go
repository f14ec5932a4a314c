package sheet

import (
	"image"
	"image/color"
	"image/draw"
	"strings"
	"unicode"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

// pen draws onto a sheet.
type pen struct {
	sheet       *image.RGBA
	plain, bold font.Face
}

func (p pen) tile(at image.Point, pair Pair) {
	box := image.Rectangle{Min: at, Max: at.Add(image.Pt(tileWidth, imageHeight))}
	draw.Draw(p.sheet, box, image.NewUniform(frame), image.Point{}, draw.Src)
	if pair.Image == nil {
		p.write(at.Add(image.Pt(6, lineHeight)), p.plain, faint, fit(p.plain, pair.Fault, tileWidth-12))
	} else {
		xdraw.CatmullRom.Scale(p.sheet, inside(box, pair.Image.Bounds().Size()), pair.Image, pair.Image.Bounds(), draw.Src, nil)
	}
	line := at.Add(image.Pt(0, imageHeight+lineHeight))
	colour, ok := relations[pair.Relation]
	if !ok {
		colour = ink
	}
	p.write(line, p.bold, colour, pair.Relation)
	note := fit(p.plain, pair.Note, tileWidth-font.MeasureString(p.bold, pair.Relation+"  ").Ceil())
	p.write(line.Add(image.Pt(tileWidth-font.MeasureString(p.plain, note).Ceil(), 0)), p.plain, faint, note)
	text := printable(pair.Text)
	for i := range textLines {
		var now string
		if i == textLines-1 {
			now = fit(p.plain, text, tileWidth)
		} else {
			now, text = wrap(p.plain, text, tileWidth)
		}
		p.write(line.Add(image.Pt(0, (i+1)*lineHeight)), p.plain, ink, now)
	}
}

// write puts a line whose letters stand on the height of at.
func (p pen) write(at image.Point, face font.Face, colour color.Color, text string) {
	d := font.Drawer{Dst: p.sheet, Src: image.NewUniform(colour), Face: face, Dot: fixed.P(at.X, at.Y)}
	d.DrawString(text)
}

// inside is the largest rectangle of a shape in the middle of a box; a small image isn't blown up.
func inside(box image.Rectangle, size image.Point) image.Rectangle {
	width, height := float64(size.X), float64(size.Y)
	by := min(1, float64(box.Dx())/width, float64(box.Dy())/height)
	out := image.Pt(max(1, int(width*by)), max(1, int(height*by)))
	from := box.Min.Add(box.Size().Sub(out).Div(2))
	return image.Rectangle{Min: from, Max: from.Add(out)}
}

// printable makes one line of a text.
func printable(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// wrap cuts a text where a line is full, after a word if there is one.
func wrap(face font.Face, text string, width int) (line, rest string) {
	end := fitting(face, text, width)
	if end == len(text) {
		return text, ""
	}
	if space := strings.LastIndexByte(text[:end+1], ' '); space > 0 {
		return text[:space], text[space+1:]
	}
	return text[:end], text[end:]
}

// fit shortens a text to a line.
func fit(face font.Face, text string, width int) string {
	if fitting(face, text, width) == len(text) {
		return text
	}
	return text[:fitting(face, text, width-font.MeasureString(face, "…").Ceil())] + "…"
}

// fitting is how many bytes of a text, whole runes, fit on a line.
func fitting(face font.Face, text string, width int) int {
	var used fixed.Int26_6
	for i, r := range text {
		advance, _ := face.GlyphAdvance(r)
		if used += advance; used > fixed.I(width) {
			return i
		}
	}
	return len(text)
}
