package pixels

import (
	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
	"github.com/itrstream/itrstream/model/pixels/internal/turbo"
)

// WithTurbo says whether this build has libjpeg-turbo.
const WithTurbo = turbo.Version != ""

// DecodeJPEGInGo is what Decode makes of a JPEG in a build without libjpeg-turbo, lying.
func DecodeJPEGInGo(data []byte, l Limits) (*Image, error) {
	p, err := jpeg.Parse(data)
	if err != nil {
		return nil, jpegError(err)
	}
	if err := l.checkSize(p.Width, p.Height); err != nil {
		return nil, err
	}
	im, err := goJPEG(p)
	if err != nil {
		return nil, jpegError(err)
	}
	return im, nil
}

// DecodeJPEG is Decode of a JPEG, lying and unguarded.
func DecodeJPEG(data []byte, l Limits) (*Image, error) { return decodeJPEG(data, l, false) }

// TurboTakes says whether libjpeg-turbo decodes a file, rather than refuse it or not be asked.
func TurboTakes(data []byte) bool {
	p, err := jpeg.Parse(data)
	if err != nil {
		return false
	}
	im, err := turboJPEG(data, p)
	return im != nil && err == nil
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

// Guard is guard.
var Guard = guard
