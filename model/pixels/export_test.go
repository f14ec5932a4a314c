package pixels

import (
	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
	"github.com/itrstream/itrstream/model/pixels/internal/turbo"
)

// WithTurbo says whether this build has libjpeg-turbo.
const WithTurbo = turbo.Version != ""

// DecodeJPEGInGo is what Decode makes of a JPEG in a build without libjpeg-turbo, lying.
func DecodeJPEGInGo(data []byte, l Limits) (*Image, error) {
	im, _, err := decodeInGo(data, l, false)
	return im, err
}

// MeasureJPEG also says whether the file has a block that libjpeg's vector units may round in their own way.
//
// A transform in 16-bit lanes holds up to a sum of squares of 2047²: its first pass enlarges a column at most by 4·√8, and adds
// two columns in a lane, so 16 times the root must fit. Samples of eight bits have a quarter of it, and what quantizing adds.
func MeasureJPEG(data []byte, l Limits) (im *Image, loud bool, err error) {
	im, energy, err := decodeInGo(data, l, true)
	return im, energy > 2047*2047, err
}

func decodeInGo(data []byte, l Limits, measure bool) (im *Image, energy float64, err error) {
	p, err := parseJPEG(data, l)
	if err != nil {
		return nil, 0, err
	}
	p.Measure = measure
	if im, err = goJPEG(p); err != nil {
		return nil, p.Energy, err
	}
	return im, p.Energy, nil
}

// ErrCode is the damage that libjpeg may pass over.
var ErrCode = jpeg.ErrCode

// DecodeJPEG is Decode of a JPEG, lying and unguarded.
func DecodeJPEG(data []byte, l Limits) (*Image, error) { return decodeJPEG(data, l, false) }

// TurboTakes says whether libjpeg-turbo decodes a file, rather than refuse it or not be asked.
func TurboTakes(data []byte) bool {
	p, err := jpeg.Parse(data)
	if err != nil {
		return false
	}
	return turboJPEG(data, p) != nil
}

// DecodeUnguarded is Decode without the net under it, so that the fuzzer sees panics.
func DecodeUnguarded(data []byte, l Limits) (*Image, error) {
	for _, f := range formats {
		if f.magic(data) {
			return f.decode(data, l, true)
		}
	}
	return nil, ErrFormat
}

// Guard is how a format is guarded.
func Guard(do func() error) error { return format{name: "JPEG"}.guard(do) }
