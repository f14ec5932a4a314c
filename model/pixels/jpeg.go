package pixels

import (
	"errors"
	"fmt"

	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
	"github.com/itrstream/itrstream/model/pixels/internal/turbo"
)

// JPEGDecoder says what decodes plain JPEGs in this build. The pixels are the same, but for damaged files: see turboJPEG.
func JPEGDecoder() string {
	if turbo.Version == "" {
		return "go"
	}
	return "libjpeg-turbo " + turbo.Version
}

func decodeJPEG(data []byte, l Limits, orient bool) (*Image, error) {
	p, err := jpeg.Parse(data)
	if err != nil {
		return nil, jpegError(err)
	}
	if err := l.checkSize(p.Width, p.Height); err != nil {
		return nil, err
	}
	im := turboJPEG(data, p)
	if im == nil {
		if im, err = goJPEG(p); err != nil {
			return nil, jpegError(err)
		}
	}
	if !orient {
		return im, nil
	}
	o := exifOrientation(p.EXIF)
	if o == 0 {
		o = xmpOrientation(p.XMP)
	}
	return o.turn(im), nil
}

func goJPEG(p *jpeg.Picture) (*Image, error) {
	defer func() {
		for _, c := range p.Components {
			giveBytes(c.Pix)
		}
	}()
	if err := p.Decode(takeBytes); err != nil {
		return nil, err
	}
	im := newImage(p.Width, p.Height)
	paintJPEG(im, p)
	return im, nil
}

// turboColours are those that C converts as jpegColours does.
var turboColours = map[jpeg.Transform]turbo.Colours{jpeg.Grey: turbo.Grey, jpeg.YCbCr: turbo.YCbCr, jpeg.RGB: turbo.RGB}

// turboJPEG returns no image where goJPEG has to tell: of files that are not plain, and of those that libjpeg refuses.
//
// Some damage libjpeg passes over without a word, as it does in Pillow: a code that its Huffman table lacks is a zero to it,
// and a coefficient behind the last place is put into some other; goJPEG refuses both. And a block with more energy than eight
// bits can be the origin of is rounded by its vector units in a way of their own.
func turboJPEG(data []byte, p *jpeg.Picture) *Image {
	colours, ok := turboColours[p.Transform()]
	if turbo.Version == "" || !ok || !p.Plain() {
		return nil
	}
	im := newImage(p.Width, p.Height)
	if !turbo.Decode(im.Pix, data, p.Width, p.Height, colours) {
		im.Release()
		return nil
	}
	return im
}

func jpegError(err error) error {
	if errors.Is(err, jpeg.ErrUnsupported) {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// paintJPEG brings every plane to the picture's size, a row at a time, and converts the colours.
func paintJPEG(im *Image, p *jpeg.Picture) {
	rows := make([]*upsampler, len(p.Components))
	maxH, maxV := p.MaxSampling()
	for i := range p.Components {
		rows[i] = newUpsampler(&p.Components[i], maxH, maxV, im.Width)
		defer rows[i].release()
	}
	convert := jpegColours[p.Transform()]
	var samples [4][]uint8
	for y := range im.Height {
		for i, r := range rows {
			samples[i] = r.row(y)
		}
		convert(im.Pix[3*im.Width*y:][:3*im.Width], &samples)
	}
}
