package pixels

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
)

// The standard library's decoder blackens transparent colours; Pillow keeps them. So the blocks are read here, and only
// LZW is left to the library.

const (
	gifScreenEnd       = 13
	gifColourTableFlag = 0x80
	gifInterlaceFlag   = 0x40
	gifTransparentFlag = 0x01
	gifGraphicControl  = 0xf9
)

var errGIFEnds = fmt.Errorf("%w: it ends too early", ErrCorrupt)

type gifReader struct {
	data        []byte
	width       int
	height      int
	global      *[256][3]uint8 // nil for none
	transparent int            // index, −1 for none

	frame image.Rectangle // the first picture's place on the screen
	flags byte            // and those of its header
}

func decodeGIF(data []byte, l Limits, _ bool) (*Image, error) {
	r, err := readGIF(data)
	if err != nil {
		return nil, err
	}
	return r.draw(l)
}

// readGIF reads up to the header of the first picture.
func readGIF(data []byte) (*gifReader, error) {
	if len(data) < gifScreenEnd {
		return nil, errGIFEnds
	}
	r := &gifReader{
		data:        data[gifScreenEnd:],
		width:       int(binary.LittleEndian.Uint16(data[6:])),
		height:      int(binary.LittleEndian.Uint16(data[8:])),
		transparent: -1,
	}
	var err error
	if r.global, err = r.colourTable(data[10]); err != nil {
		return nil, err
	}
	for {
		kind, err := r.take(1)
		if err != nil {
			return nil, err
		}
		switch kind[0] {
		case '!':
			if err := r.extension(); err != nil {
				return nil, err
			}
		case ',':
			return r, r.frameHeader()
		case ';':
			return nil, fmt.Errorf("%w: it holds no picture", ErrCorrupt)
		default:
			return nil, fmt.Errorf("%w: a block of kind %#x", ErrCorrupt, kind[0])
		}
	}
}

func (r *gifReader) take(n int) ([]byte, error) {
	if len(r.data) < n {
		return nil, errGIFEnds
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken, nil
}

func (r *gifReader) colourTable(flags byte) (*[256][3]uint8, error) {
	if flags&gifColourTableFlag == 0 {
		return nil, nil //nolint:nilnil // no table is not an error
	}
	n := 2 << (flags & 7)
	colours, err := r.take(3 * n)
	if err != nil {
		return nil, err
	}
	table := new([256][3]uint8)
	for i := range n {
		table[i] = [3]uint8(colours[3*i:])
	}
	return table, nil
}

func (r *gifReader) extension() error {
	label, err := r.take(1)
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		size, err := r.take(1)
		if err != nil {
			return err
		}
		if size[0] == 0 {
			return nil
		}
		block, err := r.take(int(size[0]))
		if err != nil {
			return err
		}
		if first && label[0] == gifGraphicControl && len(block) >= 4 && block[0]&gifTransparentFlag != 0 {
			r.transparent = int(block[3])
		}
	}
}

// frameHeader reads where the first picture lies. The screen grows when the picture exceeds it.
func (r *gifReader) frameHeader() error {
	header, err := r.take(9)
	if err != nil {
		return err
	}
	corner := image.Pt(int(binary.LittleEndian.Uint16(header)), int(binary.LittleEndian.Uint16(header[2:])))
	size := image.Pt(int(binary.LittleEndian.Uint16(header[4:])), int(binary.LittleEndian.Uint16(header[6:])))
	if size.X == 0 || size.Y == 0 {
		return fmt.Errorf("%w: its first picture has %d×%d pixels", ErrCorrupt, size.X, size.Y)
	}
	r.frame, r.flags = image.Rectangle{corner, corner.Add(size)}, header[8]
	r.width, r.height = max(r.width, r.frame.Max.X), max(r.height, r.frame.Max.Y)
	return nil
}

// draw decodes the first picture onto the screen, which is transparent, or of colour 0, where the picture does not cover it.
func (r *gifReader) draw(l Limits) (*Image, error) {
	if err := l.checkSize(r.width, r.height); err != nil {
		return nil, err
	}
	table, err := r.colourTable(r.flags)
	if err != nil {
		return nil, err
	}
	if table == nil {
		table = r.global
	}
	if table == nil {
		table = greyTable()
	}
	width, height := r.frame.Dx(), r.frame.Dy()
	indices := takeBytes(width * height)
	defer giveBytes(indices)
	if err := r.decompress(indices); err != nil {
		return nil, err
	}

	im := newImage(r.width, r.height)
	if width < r.width || height < r.height {
		background := table[max(r.transparent, 0)]
		for i := 0; i < len(im.Pix); i += 3 {
			*(*[3]uint8)(im.Pix[i:]) = background
		}
	}
	rows := gifRows(height, r.flags&gifInterlaceFlag != 0)
	for y := range height {
		paintIndexed(im.rowFrom(r.frame.Min.X, r.frame.Min.Y+rows(y), width), indices[y*width:][:width], table)
	}
	return im, nil
}

func greyTable() *[256][3]uint8 {
	table := new([256][3]uint8)
	for i := range table {
		v := uint8(i)
		table[i] = [3]uint8{v, v, v}
	}
	return table
}

// gifRows says where the n-th stored row belongs: interlaced pictures come in four passes.
func gifRows(height int, interlaced bool) func(n int) int {
	if !interlaced {
		return func(n int) int { return n }
	}
	return func(n int) int {
		for _, pass := range [4]struct{ start, step int }{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
			rows := (height - pass.start + pass.step - 1) / pass.step
			if n < rows {
				return pass.start + n*pass.step
			}
			n -= rows
		}
		return height - 1
	}
}

func (r *gifReader) decompress(indices []uint8) error {
	width, err := r.take(1)
	if err != nil {
		return err
	}
	if width[0] < 2 || width[0] > 8 {
		return fmt.Errorf("%w: LZW codes of %d bits", ErrCorrupt, width[0])
	}
	joined := takeBytes(len(r.data))
	defer giveBytes(joined)
	compressed := lzw.NewReader(bytes.NewReader(joinBlocks(joined, r.data)), lzw.LSB, int(width[0]))
	_, err = io.ReadFull(compressed, indices)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errGIFEnds
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// joinBlocks copies data that is cut into blocks of up to 255 bytes to joined, up to the empty block or as far as it goes.
func joinBlocks(joined, data []byte) []byte {
	n := 0
	for len(data) > 0 && data[0] > 0 {
		size := min(int(data[0]), len(data)-1)
		n += copy(joined[n:], data[1:1+size])
		data = data[1+size:]
	}
	return joined[:n]
}
