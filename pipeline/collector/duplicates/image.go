package duplicates

import (
	"math"
	"math/bits"
	"slices"

	"github.com/itrstream/itrstream/model/pixels"
)

// thumbnail is the side of the picture whose frequencies are hashed, side that of the block of lowest ones.
const (
	thumbnail = 32
	side      = 8
)

var shrink = pixels.Transform{Width: thumbnail, Height: thumbnail, Filter: pixels.Bicubic, Fit: pixels.Squash}

// cosines are those of a DCT-II of thumbnail values, scaled to whole numbers: sums of floats may differ between processors,
// and a hash that does is a duplicate missed.
var cosines = func() (table [side][thumbnail]int64) {
	for u := range table {
		for x := range table[u] {
			table[u][x] = int64(math.Round(math.Cos(math.Pi*float64(u)*float64(2*x+1)/(2*thumbnail)) * (1 << 14)))
		}
	}
	return table
}()

// ImageHash is the perceptual hash of an encoded image, turned upright as its EXIF orientation says: which of the 8×8 lowest
// frequencies of its 32×32 thumbnail in grey lie above their median, row by row from the highest bit. It is the pHash of
// Python's imagehash up to single bits (they scale by another filter). The errors are those of pixels.Decode.
func ImageHash(data []byte, limits pixels.Limits) (uint64, error) {
	im, err := pixels.Decode(data, limits, true)
	if err != nil {
		return 0, err
	}
	defer im.Release()
	thumb := make([]uint8, shrink.Size())
	if err := shrink.Apply(thumb, im); err != nil {
		return 0, err
	}
	return hashOf(frequencies(thumb)), nil
}

// frequencies is the upper left block of the DCT-II of a thumbnail in grey.
func frequencies(thumb []uint8) (block [side * side]int64) {
	var columns [side][thumbnail]int64
	for y := range thumbnail {
		for x := range thumbnail {
			p := thumb[3*(y*thumbnail+x):]
			// ITU-R 601, as Pillow weighs it, with 8 bits behind the point.
			grey := (int64(p[0])*19595 + int64(p[1])*38470 + int64(p[2])*7471) >> 8
			for v := range side {
				columns[v][x] += cosines[v][y] * grey
			}
		}
	}
	for v := range side {
		for u := range side {
			for x := range thumbnail {
				block[side*v+u] += cosines[u][x] * columns[v][x]
			}
		}
	}
	return block
}

func hashOf(block [side * side]int64) (hash uint64) {
	sorted := block
	slices.Sort(sorted[:])
	twiceMedian := sorted[len(sorted)/2-1] + sorted[len(sorted)/2]
	for _, f := range block {
		hash <<= 1
		if 2*f > twiceMedian {
			hash |= 1
		}
	}
	return hash
}

// Distance is how many bits of two image hashes differ: 0 to 64, about 32 between pictures that have nothing in common.
func Distance(a, b uint64) int { return bits.OnesCount64(a ^ b) }
