package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// recipe makes one file of the corpus of hostile images. A reason of "" is for an image that looks hostile and is read; one of
// byDecoder is for a damaged file: what becomes of it is written down when the corpus is made, and must stay so.
type recipe struct {
	file   string
	reason schemas.Reason
	data   []byte
	tests  string
}

const (
	fine      schemas.Reason = ""
	byDecoder schemas.Reason = "by the decoder"

	notImage = schemas.ReasonNotImage
	corrupt  = schemas.ReasonCorrupt
	tooLarge = schemas.ReasonImageSize
)

func recipes(t *testing.T) []recipe {
	t.Helper()
	return slices.Concat(strangers(), pngs(), gifs(), jpegs(t), webps(t), damaged(t))
}

// sample is a good image of model/pixels.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(os.DirFS("../../model/pixels/testdata/images"), name)
	require.NoError(t, err)
	return data
}

func join(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case []byte:
			b.Write(p)
		case int:
			b.WriteByte(byte(p))
		case byte:
			b.WriteByte(p)
		default:
			panic(fmt.Sprintf("join: %T", p))
		}
	}
	return b.Bytes()
}

func be16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func be32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func le16(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }
func le24(n int) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16)} }
func le32(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

// laughs is an XML document that grows by ten with every entity.
const laughs = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">` +
	`<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><x tiff:Orientation="&c;">&c;</x>`

// tiff is a little-endian TIFF structure: what EXIF is made of.
func tiff(directory int, entries int, more []byte) []byte {
	return join("II*\x00", le32(directory), le16(entries), more)
}

// exifs are EXIF blocks meant to make a reader loop, or read elsewhere.
func exifs() []struct {
	name string
	data []byte
} {
	orientation := join(le16(0x0112), le16(3), le32(1), le32(6))
	return []struct {
		name string
		data []byte
	}{
		{"loop", tiff(8, 1, join(orientation, le32(8)))},
		{"self-reference", tiff(0, 1, orientation)},
		{"beyond-the-end", tiff(1<<31-1, 1, orientation)},
		{"negative", tiff(-1, 1, orientation)},
		{"65535-entries", tiff(8, 65535, bytes.Repeat(join(le16(0x010f), le16(2), le32(1<<31-1), le32(0)), 40))},
		{"huge-count", tiff(8, 1, join(le16(0x0112), le16(3), le32(-1), le32(0)))},
		{"orientation-9", tiff(8, 1, join(le16(0x0112), le16(3), le32(1), le32(9)))},
		{"cut", tiff(8, 1, nil)},
	}
}

// strangers are files of kinds that are not read, and files that only seem to be of a kind that is.
func strangers() []recipe {
	all := []recipe{
		{"empty.bin", notImage, nil, "no bytes at all"},
		{"one-byte.bin", notImage, []byte{0xff}, "one byte"},
		{"zeros.bin", notImage, make([]byte, 1024), "zeros"},
		{"text.txt", notImage, []byte("hello, I am a picture"), "text"},
		{"html.html", notImage, []byte("<!DOCTYPE html><html><script>alert(1)</script>"), "a page in place of an image, as hosts send with status 200"},
		{"svg.svg", notImage, []byte(`<svg xmlns="http://www.w3.org/2000/svg"><image href="http://169.254.169.254/"/></svg>`), "SVG that would fetch"},
		{"svg-laughs.svg", notImage, []byte(laughs), "SVG that would grow"},
		{"svgz.svgz", notImage, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), "SVG in gzip"},
		{"mvg.mvg", notImage, []byte("push graphic-context\nfill 'url(https://img.example/x\"|ls \"-la)'\n"), "a drawing that runs commands in ImageMagick"},
		{"postscript.eps", notImage, []byte("%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n"), "PostScript that reads files"},
		{"pdf.pdf", notImage, []byte("%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF"), "PDF"},
		{"tiff-le.tif", notImage, []byte("II*\x00\x08\x00\x00\x00\x00\x00"), "TIFF, little-endian"},
		{"tiff-be.tif", notImage, []byte("MM\x00*\x00\x00\x00\x08\x00\x00"), "TIFF, big-endian"},
		{"bigtiff.tif", notImage, []byte("II+\x00\x08\x00\x00\x00"), "BigTIFF"},
		{"bmp.bmp", notImage, join("BM", le32(58), le32(0), le32(54), le32(40), le32(1), le32(1), le16(1), le16(24), make([]byte, 28)), "BMP"},
		{"bmp-bomb.bmp", notImage, join("BM", le32(58), le32(0), le32(54), le32(40), le32(1<<30), le32(1<<30), le16(1), le16(32)), "BMP of 2⁶⁰ pixels"},
		{"ico.ico", notImage, []byte("\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x16\x00\x00\x00"), "an icon"},
		{"ico-png.ico", notImage, join("\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x01\x00\x20\x00", le32(100), le32(22), simplePNG()), "an icon around a PNG"},
		{"avif.avif", notImage, []byte("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1miaf"), "AVIF"},
		{"heic.heic", notImage, []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), "HEIC"},
		{"mp4.mp4", notImage, []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42"), "a film"},
		{"webm.webm", notImage, []byte("\x1aE\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x1f"), "another film"},
		{"jxl.jxl", notImage, []byte("\x00\x00\x00\x0cJXL \r\n\x87\n"), "JPEG XL in its container"},
		{"jxl-bare.jxl", notImage, []byte("\xff\x0a\x00\x00"), "JPEG XL without"},
		{"jp2.jp2", notImage, []byte("\x00\x00\x00\x0cjP  \r\n\x87\n"), "JPEG 2000 in its container"},
		{"j2k.j2k", notImage, []byte("\xff\x4f\xff\x51\x00\x2f"), "JPEG 2000 without"},
		{"jpeg-ls-first-bytes.jls", notImage, []byte("\xff\xd8"), "two bytes of a JPEG"},
		{"psd.psd", notImage, []byte("8BPS\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03"), "Photoshop"},
		{"exr.exr", notImage, []byte("\x76\x2f\x31\x01\x02\x00\x00\x00"), "OpenEXR"},
		{"dds.dds", notImage, []byte("DDS \x7c\x00\x00\x00"), "DirectDraw"},
		{"ppm.ppm", notImage, []byte("P6\n1000000 1000000\n255\n"), "PPM of 10¹² pixels"},
		{"qoi.qoi", notImage, []byte("qoif\xff\xff\xff\xff\xff\xff\xff\xff\x04\x00"), "QOI of 2⁶⁴ pixels"},
		{"wmf.wmf", notImage, []byte("\xd7\xcd\xc6\x9a\x00\x00"), "a metafile, which may hold programs"},
		{"mng.mng", notImage, []byte("\x8aMNG\r\n\x1a\n"), "MNG, PNG's sister"},
		{"zip.zip", notImage, []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00"), "a ZIP archive"},
		{"gzip-png.png", notImage, join("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01", le16(4), le16(^4), "\x89PNG"), "a PNG in gzip"},
		{"elf.bin", notImage, []byte("\x7fELF\x02\x01\x01\x00"), "a program"},
		{"exe.exe", notImage, []byte("MZ\x90\x00\x03\x00\x00\x00"), "a program"},
		{"wasm.wasm", notImage, []byte("\x00asm\x01\x00\x00\x00"), "a program"},
		{"wave.webp", notImage, []byte("RIFF\x24\x00\x00\x00WAVEfmt "), "sound in WebP's container"},
		{"avi.webp", notImage, []byte("RIFF\x24\x00\x00\x00AVI LIST"), "a film in WebP's container"},
		{"rifx.webp", notImage, []byte("RIFX\x00\x00\x00\x24WEBPVP8 "), "WebP's container, big-endian"},
		{"gif88a.gif", notImage, []byte("GIF88a\x01\x00\x01\x00\x00\x00\x00;"), "a version of GIF that never was"},
		{"gif-lower-case.gif", notImage, []byte("gif89a\x01\x00\x01\x00\x00\x00\x00;"), "GIF in small letters"},
		{"png-text-mode.png", notImage, []byte("\x89PNG\n\x1a\n\x00\x00\x00\x0dIHDR"), "a PNG whose line ends were changed on the way"},
		{"png-7-bit.png", notImage, []byte("\x09PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), "a PNG that lost its high bits on the way"},
		{"png-behind-newline.png", notImage, join("\n", simplePNG()), "a PNG behind a line break"},
		{"png-behind-bom.png", notImage, join("\xef\xbb\xbf", simplePNG()), "a PNG behind a byte order mark"},
		{"png-base64.png", notImage, []byte("iVBORw0KGgoAAAANSUhEUgAAAAE"), "a PNG in base64"},
		{"too-many-bytes.png", tooLarge, join(simplePNG(), make([]byte, corpusMaxBytes)), "a good PNG with a tail beyond the limit on bytes"},
	}
	return all
}

// damaged are good images that a seeded fuzzer has worked on.
func damaged(t *testing.T) []recipe {
	t.Helper()
	var all []recipe
	r := rand.New(rand.NewPCG(20260901, 1))
	for _, name := range []string{
		"gif-interlaced.gif", "gif-offset-transparent.gif", "jpeg-420-16x16.jpg", "jpeg-444-progressive-restarts.jpg",
		"jpeg-cmyk.jpg", "jpeg-grey-progressive.jpg", "png-interlaced.png", "png-palette-16.png", "png-rgba-16bit.png",
		"webp-animated-lossy.webp", "webp-lossless-palette.webp", "webp-lossy-33x18.webp",
	} {
		whole := sample(t, name)
		for n := range 6 {
			data := bytes.Clone(whole)
			what := mutate(r, &data)
			ext := path.Ext(name)
			all = append(all, recipe{
				fmt.Sprintf("damaged-%s-%d%s", name[:len(name)-len(ext)], n, ext), byDecoder, data, name + ", damaged: " + what,
			})
		}
	}
	return all
}

// mutate damages data behind the first 12 bytes, so that its kind stays known.
func mutate(r *rand.Rand, data *[]byte) (what string) {
	const magic = 12
	d := *data
	at := magic + r.IntN(len(d)-magic)
	n := min(1+r.IntN(32), len(d)-at)
	switch r.IntN(6) {
	case 0:
		for range 8 {
			d[magic+r.IntN(len(d)-magic)] ^= 1 << r.IntN(8)
		}
		what = "8 bits flipped"
	case 1:
		d = d[:at]
		what = fmt.Sprintf("cut behind %d bytes", at)
	case 2:
		d = slices.Delete(d, at, at+n)
		what = fmt.Sprintf("%d bytes gone at %d", n, at)
	case 3:
		d = slices.Insert(d, at, bytes.Clone(d[at:at+n])...)
		what = fmt.Sprintf("%d bytes twice at %d", n, at)
	case 4:
		for i := range n {
			d[at+i] = 0xff
		}
		what = fmt.Sprintf("%d bytes of 0xff at %d", n, at)
	default:
		for i := range n {
			d[at+i] = byte(r.Uint32())
		}
		what = fmt.Sprintf("%d bytes of noise at %d", n, at)
	}
	*data = d
	return what
}
