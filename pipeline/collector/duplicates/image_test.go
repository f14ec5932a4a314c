package duplicates

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"

	"github.com/itrstream/itrstream/model/pixels"
)

var limits = pixels.Limits{MaxBytes: 10 << 20, MaxPixels: 20_000_000, MaxSide: 10_000}

const pictures = "../../demo/assets/images"

// hashesOf hashes the demo's pictures.
func hashesOf(t *testing.T) map[string]uint64 {
	t.Helper()
	files, err := os.ReadDir(pictures)
	require.NoError(t, err)
	hashes := map[string]uint64{}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(pictures, f.Name()))
		require.NoError(t, err)
		hashes[f.Name()], err = ImageHash(data, limits)
		require.NoError(t, err, f.Name())
	}
	return hashes
}

// The hashes in testdata were made by other code; pictures drawn with hard edges come out one pair of bits apart.
func TestImageHashIsThePHashOfOthers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/imagehash.json")
	require.NoError(t, err)
	var theirs map[string]string
	require.NoError(t, json.Unmarshal(text, &theirs))
	ours := hashesOf(t)
	require.Len(t, theirs, len(ours), "testdata/README.md says how to take new pictures in")
	equal := 0
	for name, hash := range ours {
		want, err := strconv.ParseUint(theirs[name], 16, 64)
		require.NoError(t, err)
		assert.LessOrEqual(t, Distance(hash, want), 2, name)
		if hash == want {
			equal++
		}
	}
	assert.Greater(t, equal, len(ours)*3/4)
}

func TestPicturesStayNearThemselvesAndAwayFromOthers(t *testing.T) {
	t.Parallel()
	hashes := hashesOf(t)
	for name, hash := range hashes {
		for other, theirs := range hashes {
			// Letters over a photo hardly change its low frequencies: only their texts tell a meme from its photo.
			if name < other && other != "meme_"+name && name != "meme_"+other {
				assert.Greater(t, Distance(hash, theirs), maxDistance, "%s and %s", name, other)
			}
		}
	}
	for _, name := range []string{"owl.jpg", "chart_rain.png", "meme_cat.jpg", "kingfisher.webp", "terminal.png", "night_cafe.jpg"} {
		original := decoded(t, name)
		for treatment, treat := range map[string]func(image.Image) []byte{
			"smaller":    func(im image.Image) []byte { return asPNG(t, scaled(im, 0.4)) },
			"compressed": func(im image.Image) []byte { return asJPEG(t, im, 30) },
			"both":       func(im image.Image) []byte { return asJPEG(t, scaled(im, 0.6), 50) },
			"darker":     func(im image.Image) []byte { return asJPEG(t, darker(im), 90) },
		} {
			hash, err := ImageHash(treat(original), limits)
			require.NoError(t, err)
			assert.LessOrEqual(t, Distance(hash, hashes[name]), DefaultConfig().ImageDistance, "%s, %s", name, treatment)
		}
	}
}

// One colour has no frequencies: whatever its size and format, it is one picture.
func TestPicturesOfOneColourAreAlike(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 32, 500} {
		im := image.NewRGBA(image.Rect(0, 0, size, size+1))
		draw.Draw(im, im.Rect, image.NewUniform(color.RGBA{R: 200, G: 30, B: 60, A: 255}), image.Point{}, draw.Src)
		hash, err := ImageHash(asPNG(t, im), limits)
		require.NoError(t, err)
		assert.Equal(t, uint64(1)<<63, hash, size)
	}
}

func TestImageHashKeepsTheLimits(t *testing.T) {
	t.Parallel()
	data := asPNG(t, image.NewGray(image.Rect(0, 0, 100, 100)))
	_, err := ImageHash(data, pixels.Limits{MaxBytes: 1 << 20, MaxPixels: 9_999, MaxSide: 100})
	require.ErrorIs(t, err, pixels.ErrTooLarge)
	_, err = ImageHash(data[:len(data)/2], limits)
	require.ErrorIs(t, err, pixels.ErrCorrupt)
	_, err = Sign([]byte("no image"), "text", limits)
	require.ErrorIs(t, err, pixels.ErrFormat)
}

func decoded(t *testing.T, name string) image.Image {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(pictures, name))
	require.NoError(t, err)
	im, err := pixels.Decode(data, limits, true)
	require.NoError(t, err)
	out := image.NewRGBA(image.Rect(0, 0, im.Width, im.Height))
	for i := range im.Width * im.Height {
		copy(out.Pix[4*i:], im.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

func scaled(im image.Image, by float64) image.Image {
	size := im.Bounds().Size()
	out := image.NewRGBA(image.Rect(0, 0, int(float64(size.X)*by), int(float64(size.Y)*by)))
	draw.CatmullRom.Scale(out, out.Rect, im, im.Bounds(), draw.Src, nil)
	return out
}

func darker(im image.Image) image.Image {
	out := image.NewRGBA(im.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			r, g, b, _ := im.At(x, y).RGBA()
			out.SetRGBA(x, y, color.RGBA{R: uint8(r * 3 / 4 >> 8), G: uint8(g * 3 / 4 >> 8), B: uint8(b * 3 / 4 >> 8), A: 255})
		}
	}
	return out
}

func asPNG(t *testing.T, im image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, im))
	return out.Bytes()
}

func asJPEG(t *testing.T, im image.Image, quality int) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, im, &jpeg.Options{Quality: quality}))
	return out.Bytes()
}
