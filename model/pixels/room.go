package pixels

import (
	"github.com/itrstream/itrstream/model/pixels/internal/jpeg"
	"github.com/itrstream/itrstream/model/pixels/internal/turbo"
)

// Room is how much Decode will have in memory at once, in pixels of some 20 bytes: what a caller who decodes several images at
// the same time has to count. It reads headers only. What declares no size that Decode would accept has room for the largest:
// Decode is about to refuse it, and need not be believed.
func Room(data []byte, l Limits) (pixels int64) {
	defer func() {
		if recover() != nil {
			pixels = l.MaxPixels
		}
	}()
	for _, f := range formats {
		if !f.magic(data) {
			continue
		}
		width, height, beside, err := f.room(data)
		if err != nil || l.checkSize(width, height) != nil {
			break
		}
		return int64(width)*int64(height) + beside
	}
	return l.MaxPixels
}

// roomJPEG counts whole MCUs, which are up to 32 pixels wide and high: a picture of one column takes as much as 32.
func roomJPEG(data []byte) (width, height int, beside int64, err error) {
	p, err := jpeg.Parse(data)
	if err != nil {
		return 0, 0, 0, err
	}
	return p.Width, p.Height, wholeRoom(p) - int64(p.Width)*int64(p.Height), nil
}

func wholeRoom(p *jpeg.Picture) int64 {
	h, v := p.MaxSampling()
	return int64(roundUp(p.Width, 8*h)) * int64(roundUp(p.Height, 8*v))
}

// rowsRoom is what scaling a file row by row takes: a strip, the rows that libjpeg has beside it, and those that are being
// scaled, which together are less than 32 rows of whole MCUs; and the coefficients of a progressive file.
func rowsRoom(f turbo.File) int64 {
	return 32*int64(roundUp(f.Width, 16)) + f.Coefficients/20
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func roomPNG(data []byte) (width, height int, beside int64, err error) {
	width, height, err = pngSize(data)
	return width, height, 0, err
}

func roomGIF(data []byte) (width, height int, beside int64, err error) {
	r, err := readGIF(data)
	if err != nil {
		return 0, 0, 0, err
	}
	return r.width, r.height, 0, nil
}

// roomWebP adds what a lossless picture has in Huffman tables: up to 2,600 groups, which take some 52 KB each but may be
// told in 240 bytes.
func roomWebP(data []byte) (width, height int, beside int64, err error) {
	const groups, groupPixels, told = 2600, 2600, 240
	f, err := readWebP(data)
	if err != nil {
		return 0, 0, 0, err
	}
	if f.lossless != nil {
		beside = min(groups, int64(len(f.lossless))/told) * groupPixels
	}
	width, height, err = f.size()
	return width, height, beside, err
}
