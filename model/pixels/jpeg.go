package pixels

import (
	"errors"
	"fmt"

	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
)

func decodeJPEG(data []byte, l Limits, orient bool) (*Image, error) {
	p, err := jpeg.Parse(data)
	if err != nil {
		return nil, jpegError(err)
	}
	if err := l.checkSize(p.Width, p.Height); err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range p.Components {
			giveBytes(c.Pix)
		}
	}()
	if err := p.Decode(takeBytes); err != nil {
		return nil, jpegError(err)
	}
	im := newImage(p.Width, p.Height)
	paintJPEG(im, p)
	if !orient {
		return im, nil
	}
	o := exifOrientation(p.EXIF)
	if o == 0 {
		o = xmpOrientation(p.XMP)
	}
	return o.turn(im), nil
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
