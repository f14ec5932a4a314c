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
	p, err := parseJPEG(data, l)
	if err != nil {
		return nil, err
	}
	im := turboJPEG(data, p)
	if im == nil {
		if im, err = goJPEG(p); err != nil {
			return nil, err
		}
	}
	if !orient {
		return im, nil
	}
	return jpegOrientation(p).turn(im), nil
}

// drawJPEG is Drawing.Draw. What libjpeg-turbo refuses is not decoded as a draft.
func drawJPEG(d Drawing, dst, data []byte) error {
	p, err := parseJPEG(data, d.Limits)
	if err != nil {
		return err
	}
	o := upright
	if d.Orient {
		o = jpegOrientation(p)
	}
	f, plain := turboFile(data, p)
	f.Denominator = d.denominator(p.Width, p.Height)
	if plain && o <= upright {
		if err := d.rows(dst, f); !errors.Is(err, errRefused) {
			return err
		}
		plain = false
	}
	if err := d.ask(wholeRoom(p)); err != nil {
		return err
	}
	var im *Image
	if plain {
		im = turboImage(f)
	}
	if im == nil {
		if im, err = goJPEG(p); err != nil {
			return err
		}
	}
	im = o.turn(im)
	defer im.Release()
	return d.Transform.Apply(dst, im)
}

func parseJPEG(data []byte, l Limits) (*jpeg.Picture, error) {
	p, err := jpeg.Parse(data)
	if err != nil {
		return nil, jpegError(err)
	}
	if err := l.checkSize(p.Width, p.Height); err != nil {
		return nil, err
	}
	return p, nil
}

func jpegOrientation(p *jpeg.Picture) orientation {
	if o := exifOrientation(p.EXIF); o != 0 {
		return o
	}
	return xmpOrientation(p.XMP)
}

func goJPEG(p *jpeg.Picture) (*Image, error) {
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
	return im, nil
}

// turboColours are those that C converts as jpegColours does.
var turboColours = map[jpeg.Transform]turbo.Colours{jpeg.Grey: turbo.Grey, jpeg.YCbCr: turbo.YCbCr, jpeg.RGB: turbo.RGB}

// turboFile says whether libjpeg-turbo is asked for a file's pixels, rather than goJPEG, which also has to tell of those that
// are refused.
//
// Some damage libjpeg passes over without a word, as it does in Pillow: a code that its Huffman table lacks is a zero to it,
// and a coefficient behind the last place of its block or scan is put into some other; goJPEG refuses both. And a block with
// more energy than eight bits can be the origin of is rounded by its vector units in a way of their own.
func turboFile(data []byte, p *jpeg.Picture) (f turbo.File, ok bool) {
	colours, ok := turboColours[p.Transform()]
	if turbo.Version == "" || !ok {
		return turbo.File{}, false
	}
	o, ok := p.Plain()
	return turbo.File{
		Data: data, Width: p.Width, Height: p.Height, Colours: colours, Scans: o.Scans, Coefficients: o.Coefficients, Denominator: 1,
	}, ok
}

// turboJPEG returns no image where goJPEG has to tell.
func turboJPEG(data []byte, p *jpeg.Picture) *Image {
	f, ok := turboFile(data, p)
	if !ok {
		return nil
	}
	return turboImage(f)
}

func turboImage(f turbo.File) *Image {
	decoder := turbo.Open(f)
	if decoder == nil {
		return nil
	}
	defer decoder.Close()
	im := newImage(f.Size())
	if !decoder.Read(im.Pix) {
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
