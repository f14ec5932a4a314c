package media

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func riff(chunks ...any) []byte {
	body := join(chunks...)
	return join("RIFF", le32(4+len(body)), "WEBP", body)
}

func webpChunk(kind string, content ...any) []byte {
	body := join(content...)
	return join(kind, le32(len(body)), body, make([]byte, len(body)%2))
}

// canvas is a VP8X chunk.
func canvas(width, height int) []byte {
	return webpChunk("VP8X", 0x02, 0, 0, 0, le24(width-1), le24(height-1))
}

// animated is a frame of an animation, at the top left.
func animated(width, height int, content ...any) []byte {
	return webpChunk("ANMF", le24(0), le24(0), le24(width-1), le24(height-1), le24(100), 0, join(content...))
}

// bitstream is what a good WebP's chunk holds.
func bitstream(t *testing.T, name, kind string) []byte {
	t.Helper()
	data := sample(t, name)
	at := bytes.Index(data, []byte(kind))
	require.Positive(t, at)
	size := int(data[at+4]) | int(data[at+5])<<8 | int(data[at+6])<<16
	return data[at+8 : at+8+size]
}

// lossless begins a VP8L bitstream.
func lossless(width, height, version int) []byte {
	return join(0x2f, le32((width-1)|(height-1)<<14|version<<29))
}

// nested are frames within frames.
func nested(depth int) []byte {
	var out []byte
	for left := depth; left > 0; left-- {
		out = join(out, "ANMF", le32(24*left-8), make([]byte, 16))
	}
	return out
}

func webps(t *testing.T) []recipe {
	t.Helper()
	lossy := bitstream(t, "webp-lossy-1x1.webp", "VP8 ")
	plain := bitstream(t, "webp-lossless.webp", "VP8L")
	width, height := 1+(int(plain[1])|int(plain[2])<<8)&0x3fff, 1+(int(plain[2])>>6|int(plain[3])<<2|int(plain[4])<<10)&0x3fff
	edit := func(data []byte, at int, with ...any) []byte {
		data = bytes.Clone(data)
		copy(data[at:], join(with...))
		return data
	}
	picture := webpChunk("VP8 ", lossy)
	return []recipe{
		{"webp-fine.webp", fine, riff(picture), "a good WebP, so that the others fail for what they try"},
		{"webp-magic.webp", corrupt, []byte("RIFF\x04\x00\x00\x00WEBP"), "twelve bytes"},
		{"webp-riff-size-0.webp", corrupt, join("RIFF", le32(0), "WEBP", picture), "a container of no bytes"},
		{"webp-riff-size-negative.webp", fine, join("RIFF", le32(-1), "WEBP", picture), "a container of 4 GiB"},
		{"webp-canvas-only.webp", corrupt, riff(canvas(1, 1)), "a canvas and nothing on it"},
		{"webp-canvas-short.webp", corrupt, riff(webpChunk("VP8X", 0, 0, 0), picture), "a canvas of three bytes"},
		{"webp-canvas-2-24.webp", corrupt, riff(canvas(1<<24, 1<<24), picture), "a canvas of 2⁴⁸ pixels around a picture of one"},
		{"webp-canvas-2-24-animated.webp", tooLarge, riff(canvas(1<<24, 1<<24), animated(1, 1, picture)), "a canvas of 2⁴⁸ pixels, a frame of one"},
		{"webp-canvas-1x65535.webp", tooLarge, riff(canvas(1, 65535), animated(1, 1, picture)), "1×65535"},
		{"webp-canvas-65535x1.webp", tooLarge, riff(canvas(65535, 1), animated(1, 1, picture)), "65535×1"},
		{"webp-canvas-pixels.webp", tooLarge, riff(canvas(2049, 2048), animated(1, 1, picture)), "sides that are allowed and pixels that are not"},
		{"webp-canvas-twice.webp", fine, riff(canvas(1, 1), canvas(2048, 2048), animated(1, 1, picture)), "a small canvas, then one as large as may be"},
		{"webp-canvas-smaller.webp", corrupt, riff(canvas(1, 1), webpChunk("VP8L", plain)), "a picture larger than its canvas"},
		{"webp-frame-beyond.webp", corrupt, riff(canvas(1, 1), animated(2, 2, picture)), "a frame larger than its canvas"},
		{"webp-frame-far.webp", corrupt, riff(canvas(1, 1), webpChunk("ANMF", le24(1<<23), le24(1<<23), le24(0), le24(0), le24(0), 0, picture)), "a frame far off its canvas"},
		{"webp-frame-short.webp", corrupt, riff(canvas(1, 1), webpChunk("ANMF", 1, 2, 3)), "a frame of three bytes"},
		{"webp-frame-empty.webp", corrupt, riff(canvas(1, 1), animated(1, 1)), "a frame without a picture"},
		{"webp-frames-nested.webp", corrupt, riff(canvas(1, 1), nested(1000)), "frames within frames, 1,000 deep"},
		{"webp-frames-400.webp", fine, riff(canvas(1, 1), bytes.Repeat(animated(1, 1, picture), 400)), "400 frames: the first counts"},
		{"webp-frames-bomb.webp", fine, riff(canvas(1, 1), animated(1, 1, picture), bytes.Repeat(animated(1<<24, 1<<24), 400)), "400 frames of 2⁴⁸ pixels behind the first"},
		{"webp-chunk-size-negative.webp", corrupt, riff("EXIF", le32(-1), picture), "a chunk of 4 GiB"},
		{"webp-chunk-beyond.webp", corrupt, riff("VP8 ", le32(len(lossy)+1), lossy), "a chunk a byte longer than the file"},
		{"webp-chunk-odd.webp", fine, riff("EXIF", le32(1), "x\x00", picture), "a chunk of one byte and its padding"},
		{"webp-chunk-odd-unpadded.webp", corrupt, riff("EXIF", le32(1), "x", picture), "a chunk of one byte without its padding"},
		{"webp-chunks-unknown.webp", fine, riff(bytes.Repeat(webpChunk("QUUX"), 2000), picture), "2,000 chunks that nobody knows"},
		{"webp-chunks-after.webp", fine, riff(picture, "VP8 ", le32(3), "x\x00\x00\x00"), "a second picture, damaged, behind the first"},
		{"webp-alpha-only.webp", corrupt, riff(canvas(1, 1), webpChunk("ALPH", 0, 0xff)), "alpha and no picture"},
		{"webp-alpha-bomb.webp", fine, riff(canvas(1, 1), webpChunk("ALPH", 1, 0, bytes.Repeat([]byte{0xff}, 10_000)), picture), "alpha that would be unpacked: nobody does"},
		{"webp-iccp-bomb.webp", fine, riff(canvas(1, 1), webpChunk("ICCP", make([]byte, 20_000)), picture), "a colour profile of 20 KB"},
		{"webp-xmp-laughs.webp", fine, riff(canvas(1, 1), picture, webpChunk("XMP ", laughs)), "XMP that would grow"},
		{"webp-exif-loop.webp", fine, riff(canvas(1, 1), picture, webpChunk("EXIF", exifs()[0].data)), "EXIF that loops"},
		{"webp-lossy-empty.webp", corrupt, riff(webpChunk("VP8 ")), "a picture of no bytes"},
		{"webp-lossy-header.webp", corrupt, riff(webpChunk("VP8 ", lossy[:10])), "a header and no pixels"},
		{"webp-lossy-half.webp", corrupt, riff(webpChunk("VP8 ", bitstream(t, "webp-lossy-33x18.webp", "VP8 ")[:60])), "half a picture"},
		{"webp-lossy-interframe.webp", corrupt, riff(webpChunk("VP8 ", edit(lossy, 0, lossy[0]|1))), "a picture that needs the one before"},
		{"webp-lossy-start-code.webp", corrupt, riff(webpChunk("VP8 ", edit(lossy, 3, "abc"))), "a wrong start code"},
		{"webp-lossy-0x0.webp", corrupt, riff(webpChunk("VP8 ", edit(lossy, 6, le16(0), le16(0)))), "no pixels"},
		{"webp-lossy-16383.webp", tooLarge, riff(webpChunk("VP8 ", edit(lossy, 6, le16(16383), le16(16383)))), "268 million pixels"},
		{"webp-lossy-1x16383.webp", tooLarge, riff(webpChunk("VP8 ", edit(lossy, 6, le16(1), le16(16383)))), "1×16383"},
		{"webp-lossy-partition.webp", corrupt, riff(webpChunk("VP8 ", edit(lossy, 0, lossy[0]|0xe0, 0xff, 0xff))), "a first partition of 512 KB"},
		{"webp-lossless-empty.webp", corrupt, riff(webpChunk("VP8L")), "a picture of no bytes"},
		{"webp-lossless-header.webp", corrupt, riff(webpChunk("VP8L", lossless(16, 16, 0))), "a header and no pixels"},
		{"webp-lossless-signature.webp", corrupt, riff(webpChunk("VP8L", edit(plain, 0, 0x2e))), "a wrong first byte"},
		{"webp-lossless-version.webp", corrupt, riff(webpChunk("VP8L", lossless(1, 1, 7), plain[5:])), "a version of the future"},
		{"webp-lossless-16384.webp", tooLarge, riff(webpChunk("VP8L", lossless(16384, 16384, 0), plain[5:])), "268 million pixels"},
		{"webp-lossless-1x16384.webp", tooLarge, riff(webpChunk("VP8L", lossless(1, 16384, 0), plain[5:])), "1×16384"},
		{"webp-lossless-larger.webp", corrupt, riff(webpChunk("VP8L", lossless(2048, 2048, 0), plain[5:len(plain)/2])), "4 million pixels declared, a few there"},
		{"webp-lossless-half.webp", corrupt, riff(webpChunk("VP8L", plain[:len(plain)/2])), "half a picture"},
		{"webp-lossless-zeros.webp", byDecoder, riff(webpChunk("VP8L", lossless(1024, 1024, 0), make([]byte, 4000))), "zeros in place of pixels"},
		{"webp-lossless-ones.webp", byDecoder, riff(webpChunk("VP8L", lossless(1024, 1024, 0), bytes.Repeat([]byte{0xff}, 4000))), "ones in place of pixels"},
		{"webp-lossless-canvas.webp", fine, riff(canvas(width, height), webpChunk("VP8L", plain)), "a canvas that fits"},
		{"webp-lossy-as-lossless.webp", corrupt, riff(webpChunk("VP8L", lossy)), "a lossy picture called lossless"},
		{"webp-lossless-as-lossy.webp", corrupt, riff(webpChunk("VP8 ", plain)), "a lossless picture called lossy"},
		{"webp-html.webp", fine, join(riff(picture), "<script>alert(1)</script>"), "WebP and HTML"},
		{"webp-zip.webp", fine, join(riff(picture), "PK\x05\x06", make([]byte, 18)), "WebP and ZIP"},
	}
}
