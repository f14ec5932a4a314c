package pixels

import (
	"errors"
	"fmt"
	"io"

	"github.com/itrstream/itrstream/model/pixels/internal/turbo"
)

// Drawing is how image files become tensors.
type Drawing struct {
	Limits    Limits
	Orient    bool // as Decode's
	Transform Transform
	// Draft has large JPEGs decoded at a half, a quarter or an eighth of their sides, if those are still twice what they are scaled
	// to: the pixels are then those of Pillow after draft("RGB", 2×width, 2×height). It needs CanDraft, and a JPEG that
	// libjpeg-turbo decodes; of all others nothing changes.
	Draft bool

	// Room, unless nil, is asked for memory before it is taken, in pixels of some 20 bytes: who draws several images at the same
	// time has to count. It may wait. Asked again, it grants the new amount in place of the old, which has been given back. An
	// error of its ends the drawing.
	Room func(pixels int64) error
}

// CanDraft says whether this build has what Drawing.Draft needs.
const CanDraft = turbo.Version != ""

// Draw writes the tensor of an image file to dst, which must be Transform.Size bytes long: without Draft, the pixels and errors
// are those of Decode and Transform.Apply, but a JPEG that libjpeg-turbo decodes, and that need not be turned, is scaled row by
// row and never in memory as a whole. After an error dst holds anything.
func (d Drawing) Draw(dst, data []byte) error {
	f, err := formatOf(data, d.Limits)
	if err != nil {
		return err
	}
	return f.guard(func() error {
		if f.draw != nil {
			return f.draw(d, dst, data)
		}
		if err := d.ask(Room(data, d.Limits)); err != nil {
			return err
		}
		im, err := f.decode(data, d.Limits, d.Orient)
		if err != nil {
			return err
		}
		defer im.Release()
		return d.Transform.Apply(dst, im)
	})
}

func (d Drawing) ask(pixels int64) error {
	if d.Room == nil {
		return nil
	}
	if err := d.Room(pixels); err != nil {
		return fmt.Errorf("waiting for room: %w", err)
	}
	return nil
}

// denominator is what the sides of a JPEG are divided by. Pillow compares them as they lie, even if they are to be turned.
func (d Drawing) denominator(width, height int) int {
	if !d.Draft {
		return 1
	}
	toWidth, toHeight := d.Transform.Width, d.Transform.Height
	if d.Transform.Fit == CropCentre {
		toWidth, toHeight = d.Transform.ShortestEdge, d.Transform.ShortestEdge
	}
	denominator := 8
	for denominator > 1 && (width < 2*toWidth*denominator || height < 2*toHeight*denominator) {
		denominator /= 2
	}
	return denominator
}

// errRefused is for files that libjpeg-turbo refuses, so that Go has to tell.
var errRefused = errors.New("libjpeg-turbo refuses it")

// rows scales a file while libjpeg-turbo decodes it.
func (d Drawing) rows(dst []uint8, f turbo.File) error {
	if err := d.ask(rowsRoom(f)); err != nil {
		return err
	}
	decoder := turbo.Open(f)
	if decoder == nil {
		return errRefused
	}
	defer decoder.Close()
	width, height := f.Size()
	s := &turboStrips{decoder: decoder, stride: 3 * width, left: height, buffer: takeBytes(3 * width * stripRows)}
	defer giveBytes(s.buffer)
	if err := d.Transform.draw(dst, width, height, s); err != nil {
		return err
	}
	// A crop may need no more rows, but a file that is damaged below it is damaged.
	for {
		if _, err := s.next(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// stripRows are few enough to stay in a cache, and enough that calls of C cost nothing beside them.
const stripRows = 32

// turboStrips is a file as libjpeg-turbo decodes it.
type turboStrips struct {
	decoder      *turbo.Decoder
	stride, left int
	buffer       []uint8
}

func (s *turboStrips) next() ([]uint8, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	rows := min(stripRows, s.left)
	s.left -= rows
	strip := s.buffer[:rows*s.stride]
	if !s.decoder.Read(strip) {
		return nil, errRefused
	}
	return strip, nil
}
