package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/image/draw"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/pipeline/demo/assets"
	"github.com/itrstream/itrstream/schemas"
)

// kind is a size of photo, with the bytes that such a file has on social media
// or in a phone.
type kind struct {
	Name          string
	Width, Height int
	Bytes         int
	Count         int // different ones; posts make each file unique
}

var (
	small  = kind{"640x480", 640, 480, 80_000, 24}
	social = kind{"1200x900", 1200, 900, 200_000, 24}
	phone  = kind{"4032x3024", 4032, 3024, 2_250_000, 6}
	kinds  = []kind{small, social, phone}
	// icon is nothing to decode: what is left is the pipeline's own work.
	icon = kind{"64x64", 64, 64, 2_500, 24}
)

// photosName is the folder of the photos. Another way of drawing them takes
// another number.
const photosName = "photos-1"

// drawPhotos writes those photos to dir that are not there yet: windows of the
// demo's photographs, scaled up, with the detail that scaling cannot give. They
// are the same each time.
func drawPhotos(dir string) error {
	sources, err := photographs()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	grain := newGrain()
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, k := range append(kinds[:len(kinds):len(kinds)], icon) {
		for i := range k.Count {
			path := photoFile(dir, k, i)
			if _, err := os.Stat(path); err == nil {
				continue
			}
			g.Go(func() error {
				random := newRandom(k.Width, i)
				file, err := encode(k.draw(sources[i%len(sources)], grain, random), k.Bytes)
				if err != nil {
					return err
				}
				if err := os.WriteFile(path+".part", file, 0o600); err != nil {
					return err
				}
				return os.Rename(path+".part", path)
			})
		}
	}
	return g.Wait()
}

// photosCommand draws them for a machine that has only what it is given.
func photosCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "photos CACHE",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(_ *cobra.Command, args []string) error { return drawPhotos(filepath.Join(args[0], photosName)) },
	}
}

// newRandom repeats itself from run to run.
func newRandom(seed, of int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed), uint64(of))) //nolint:gosec // repeatable on purpose
}

func photoFile(dir string, k kind, i int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%02d.jpg", k.Name, i))
}

// photographs are the JPEG files of the demo's posts, each once.
func photographs() ([]image.Image, error) {
	posts, err := assets.Posts()
	if err != nil {
		return nil, err
	}
	var out []image.Image
	seen := map[string]bool{}
	for _, message := range posts {
		var post schemas.Post
		if json.Unmarshal(message.Value, &post) != nil {
			continue // the demo has broken posts, too
		}
		for _, m := range post.Media {
			if !bytes.HasPrefix(m.Data, []byte("\xff\xd8\xff")) || seen[string(m.Data)] {
				continue
			}
			seen[string(m.Data)] = true
			if im, err := jpeg.Decode(bytes.NewReader(m.Data)); err == nil {
				out = append(out, im)
			}
		}
	}
	return out, nil
}

// draw cuts a window out of a photograph, scales it to k's size and adds grain.
func (k kind) draw(from image.Image, g *grain, random *rand.Rand) *image.RGBA {
	b := from.Bounds()
	width := min(float64(b.Dx()), float64(b.Dy())*float64(k.Width)/float64(k.Height)) * (0.6 + 0.4*random.Float64())
	height := width * float64(k.Height) / float64(k.Width)
	x, y := random.Float64()*(float64(b.Dx())-width), random.Float64()*(float64(b.Dy())-height)
	window := image.Rect(int(x), int(y), int(x+width), int(y+height)).Add(b.Min)
	out := image.NewRGBA(image.Rect(0, 0, k.Width, k.Height))
	draw.CatmullRom.Scale(out, out.Bounds(), from, window, draw.Src, nil)
	g.add(out, random)
	return out
}

// grain is a tile of noise over four octaves, as surfaces and sensors have it.
type grain [grainSide * grainSide]int8

const grainSide = 512

func newGrain() *grain {
	random := newRandom(7, 7)
	var g grain
	sum := make([]float64, len(g))
	for _, step := range []int{1, 2, 4, 8} {
		across := grainSide / step
		octave := make([]float64, across*across)
		for i := range octave {
			octave[i] = random.NormFloat64() * 2.5
		}
		for i := range sum {
			sum[i] += octave[i/grainSide/step*across+i%grainSide/step]
		}
	}
	for i := range g {
		g[i] = int8(max(-100, min(100, sum[i])))
	}
	return &g
}

// add lays the grain over an image, from a random place on.
func (g *grain) add(im *image.RGBA, random *rand.Rand) {
	atX, atY := random.IntN(grainSide), random.IntN(grainSide)
	for y := range im.Rect.Dy() {
		row := g[(y+atY)%grainSide*grainSide:][:grainSide]
		for x := range im.Rect.Dx() {
			n := int(row[(x+atX)%grainSide])
			p := im.Pix[y*im.Stride+4*x:][:3]
			for c := range p {
				p[c] = uint8(max(0, min(255, int(p[c])+n)))
			}
		}
	}
}

// encode writes a JPEG of about so many bytes, by the quality that gives them.
func encode(im *image.RGBA, size int) ([]byte, error) {
	var out bytes.Buffer
	low, high := 20, 97
	for low < high {
		q := (low + high + 1) / 2
		out.Reset()
		if err := jpeg.Encode(&out, im, &jpeg.Options{Quality: q}); err != nil {
			return nil, err
		}
		if out.Len() > size {
			high = q - 1
		} else {
			low = q
		}
	}
	out.Reset()
	err := jpeg.Encode(&out, im, &jpeg.Options{Quality: low})
	return out.Bytes(), err
}
