package pixels_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/itrstream/itrstream/model/pixels"
)

func TestRoomIsForThePictureThatIsDecoded(t *testing.T) {
	t.Parallel()
	for _, g := range goldens(t) {
		room := pixels.Room(read(t, g.File), roomy)
		if room < int64(g.Size[0]*g.Size[1]) || room >= roomy.MaxPixels {
			t.Errorf("%s: room for %d pixels, it has %d×%d", g.File, room, g.Size[0], g.Size[1])
		}
	}
}

// TestRoomBelievesNoFirstWord has files that say one size first and are decoded at another.
func TestRoomBelievesNoFirstWord(t *testing.T) {
	t.Parallel()
	gif := read(t, "gif-plain.gif")
	binary.LittleEndian.PutUint16(gif[6:], 1)
	binary.LittleEndian.PutUint16(gif[8:], 1)

	webp := read(t, "webp-animated-offset.webp")
	small := bytes.Clone(webp[12:30])
	if string(small[:4]) != "VP8X" {
		t.Fatal("the file does not begin with VP8X")
	}
	copy(small[12:], make([]byte, 6))
	webp = slices.Insert(webp, 12, small...)
	binary.LittleEndian.PutUint32(webp[4:], uint32(len(webp)-8))

	tall := read(t, "jpeg-420-16x16.jpg")
	sof := bytes.Index(tall, []byte{0xff, 0xc0})
	copy(tall[sof+5:], []byte{0x10, 0, 0, 1})

	for name, test := range map[string]struct {
		data  []byte
		least int64
	}{
		"a GIF's screen":        {gif, 100},
		"a WebP's first canvas": {webp, 100},
		"a JPEG of one column":  {tall, 16 * 4096},
		"a long lossless WebP":  {losslessOf(t, 240_000), 1000 * 2600},
		"no size":               {[]byte("\x89PNG\r\n\x1a\n"), roomy.MaxPixels},
		"no image":              {[]byte("hello"), roomy.MaxPixels},
		"nothing":               {nil, roomy.MaxPixels},
	} {
		room := pixels.Room(test.data, roomy)
		if room < test.least {
			t.Errorf("%s: room for %d pixels, want %d at least", name, room, test.least)
		}
		if im, err := pixels.Decode(test.data, roomy, false); err == nil && room < int64(im.Width*im.Height) {
			t.Errorf("%s: room for %d pixels, it has %d×%d", name, room, im.Width, im.Height)
		}
	}
}

// losslessOf is a WebP whose lossless picture has so many bytes.
func losslessOf(t testing.TB, size int) []byte {
	t.Helper()
	data := read(t, "webp-lossless.webp")
	at := bytes.Index(data, []byte("VP8L"))
	data = append(data, make([]byte, size-len(data[at+8:]))...)
	binary.LittleEndian.PutUint32(data[at+4:], uint32(size))
	binary.LittleEndian.PutUint32(data[4:], uint32(len(data)-8))
	return data
}

// TestFramesHoldNoFrames nests frames of an animation as deep as bytes allow: whoever follows them fills the stack.
func TestFramesHoldNoFrames(t *testing.T) {
	t.Parallel()
	const depth = 40_000
	var frames []byte
	for left := depth; left > 0; left-- {
		head := make([]byte, 24)
		copy(head, "ANMF")
		binary.LittleEndian.PutUint32(head[4:], uint32(24*left-8))
		frames = append(frames, head...)
	}
	data := append([]byte("RIFF\xff\xff\xff\x7fWEBP"), frames...)
	_, err := pixels.Decode(data, roomy, false)
	if !errors.Is(err, pixels.ErrCorrupt) || !strings.Contains(err.Error(), "a frame within a frame") {
		t.Errorf("error %v", err)
	}
}
