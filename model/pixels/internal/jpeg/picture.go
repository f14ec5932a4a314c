package jpeg

import (
	"errors"
	"fmt"
)

var (
	// ErrUnsupported is for a valid kind of JPEG that is not decoded here. Any other error means a damaged file.
	ErrUnsupported = errors.New("this kind of JPEG is not supported")
	// ErrCode is for damage that libjpeg may pass over without a word.
	ErrCode = errors.New("a code that its table lacks, or a coefficient that its block has no place for")

	errBreaksOff = errors.New("it breaks off")
)

// Markers of T.81, table B.1.
const (
	markerSOF0  = 0xc0
	markerSOF1  = 0xc1
	markerSOF2  = 0xc2
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDNL   = 0xdc
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
	markerTEM   = 0x01
)

const (
	blockSide    = 8
	blockSamples = blockSide * blockSide
	maxTables    = 4
	maxSampling  = 4

	// maxScans keeps a small progressive file from passing over a large picture for minutes; encoders write about ten.
	maxScans = 200
)

// Transform says what colours the components are before and after the file's own colour transform.
type Transform int

// The colour models of jpeg files.
const (
	Grey  Transform = iota // 1 component
	YCbCr                  // 3
	RGB                    // 3
	CMYK                   // 4
	YCCK                   // 4
)

// Picture is a JPEG file whose header has been read, and, after Decode, its planes.
type Picture struct {
	Width, Height int
	Components    []Component
	EXIF, XMP     []byte // as they lie in the file, nil when there are none

	jfif           bool
	adobe          bool
	adobeTransform uint8

	progressive bool
	mcusWide    int
	mcusHigh    int
	maxH, maxV  int

	quant   [maxTables]*[blockSamples]int32 // in natural order
	dc, ac  [maxTables]*huffman
	restart int // MCUs between restart markers, 0 for none
	scans   int

	// Measure has Decode find Energy: the most that the squares of a block's coefficients have as their sum. Tests ask for it.
	Measure bool
	Energy  float64

	data []byte
	pos  int
}

// Component is one plane. Its samples cover the picture at H/maxH of its width and V/maxV of its height.
type Component struct {
	ID            uint8
	H, V          int
	Width, Height int     // of the samples that belong to the picture
	Stride        int     // of Pix, which is padded to whole blocks
	Pix           []uint8 // nil before Decode

	quant      uint8
	wide, high int // blocks in the plane, padding of the last MCU included
	decoded    *[blockSamples]int32
	coefs      []block // of a progressive file
	seen       [blockSamples]seenBits
	prediction int32
	dc, ac     *huffman
}

type block [blockSamples]int16

// seenBits is how far a coefficient of a progressive file has come: nothing, or all bits from low on.
type seenBits struct {
	any bool
	low int
}

// MaxSampling is the largest H and V of the components.
func (p *Picture) MaxSampling() (h, v int) { return p.maxH, p.maxV }

// Transform is chosen as libjpeg does.
func (p *Picture) Transform() Transform {
	switch len(p.Components) {
	case 1:
		return Grey
	case 3:
		id := [3]uint8{p.Components[0].ID, p.Components[1].ID, p.Components[2].ID}
		switch {
		case p.jfif:
			return YCbCr
		case p.adobe && p.adobeTransform == 0, !p.adobe && id == [3]uint8{'R', 'G', 'B'}:
			return RGB
		}
		return YCbCr
	}
	if !p.adobe || p.adobeTransform == 0 {
		return CMYK
	}
	return YCCK
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format, args...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}
