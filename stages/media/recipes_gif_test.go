package media

import "bytes"

// screen is a GIF's header with a palette of two colours.
func screen(width, height int) []byte {
	return join("GIF89a", le16(width), le16(height), 0x80, 0, 0, "\x00\x00\x00\xff\xff\xff")
}

// frame is a picture of colour 0; flags are those of its descriptor, and codes its LZW data in blocks.
func frame(left, top, width, height, flags int, codes []byte) []byte {
	return join(",", le16(left), le16(top), le16(width), le16(height), flags, codes)
}

// blocks cuts LZW data for codes that begin with bits bits.
func blocks(bits int, data []byte) []byte {
	out := []byte{byte(bits)}
	for len(data) > 0 {
		n := min(len(data), 255)
		out = join(out, n, data[:n])
		data = data[n:]
	}
	return join(out, 0)
}

// lzwZeros codes n times colour 0: after a reset each code stands for one zero more than the one before.
func lzwZeros(n int) []byte {
	const bits, reset, end = 2, 4, 5
	var out []byte
	var acc uint64
	have, width := 0, bits+1
	put := func(code int) {
		acc |= uint64(code) << have
		for have += width; have >= 8; have -= 8 {
			out = append(out, byte(acc))
			acc >>= 8
		}
	}
	for n > 0 {
		put(reset)
		width = bits + 1
		put(0)
		n--
		for length := 2; n > 0 && end+length <= 4095; length++ {
			if end+length-1 == 1<<width {
				width++
			}
			take := min(length, n)
			if take == 1 {
				put(0)
			} else {
				put(end + take - 1)
			}
			n -= take
		}
	}
	put(end)
	width = 8
	put(0) // fills the last byte
	return blocks(bits, out)
}

func gifs() []recipe {
	two := screen(2, 2)
	// Two bits a colour: clear, 0, 0, 0, 0, end.
	codes := blocks(2, []byte{0x04, 0x00, 0x0a})
	pixels := frame(0, 0, 2, 2, 0, codes)
	all := []recipe{
		{"gif-fine.gif", fine, join(two, pixels, ";"), "a good GIF, so that the others fail for what they try"},
		{"gif-magic.gif", corrupt, []byte("GIF89a"), "six bytes"},
		{"gif-screen.gif", corrupt, two, "a screen and nothing on it"},
		{"gif-no-picture.gif", corrupt, join(two, ";"), "an end without a picture"},
		{"gif-palette-cut.gif", corrupt, two[:15], "half a palette"},
		{"gif-screen-0x0.gif", fine, join(screen(0, 0), pixels, ";"), "a screen of no pixels grows with its picture"},
		{"gif-screen-65535.gif", tooLarge, join(screen(65535, 65535), pixels, ";"), "four pixels on a screen of 4 billion"},
		{"gif-screen-1x65535.gif", tooLarge, join(screen(1, 65535), pixels, ";"), "1×65535"},
		{"gif-screen-65535x1.gif", tooLarge, join(screen(65535, 1), pixels, ";"), "65535×1"},
		{"gif-frame-65535.gif", tooLarge, join(two, frame(0, 0, 65535, 65535, 0, codes), ";"), "a picture of 4 billion pixels on a small screen"},
		{"gif-frame-far.gif", tooLarge, join(two, frame(65535, 65535, 2, 2, 0, codes), ";"), "a small picture far off the screen"},
		{"gif-frame-beyond.gif", fine, join(two, frame(1, 1, 2, 2, 0, codes), ";"), "a picture that hangs over the edge"},
		{"gif-frame-hidden-large.gif", fine, join(screen(1, 1), frame(0, 0, 2048, 1024, 0, lzwZeros(2048*1024)), ";"), "a screen of one pixel, and 2 million in its picture"},
		{"gif-frame-0x0.gif", corrupt, join(two, frame(0, 0, 0, 0, 0, codes), ";"), "a picture of no pixels"},
		{"gif-frame-0-high.gif", corrupt, join(two, frame(0, 0, 2, 0, 0, codes), ";"), "a picture of no height"},
		{"gif-frame-cut.gif", corrupt, join(two, ",\x00\x00"), "half a descriptor"},
		{"gif-local-palette-cut.gif", corrupt, join(two, frame(0, 0, 2, 2, 0x87, []byte{1, 2, 3})), "a local palette of three bytes"},
		{"gif-no-palette.gif", fine, join("GIF89a", le16(2), le16(2), 0, 0, 0, pixels, ";"), "no palette at all: grey"},
		{"gif-index-beyond-palette.gif", fine, join(two, frame(0, 0, 2, 2, 0, blocks(2, []byte{0x5c, 0x36, 0x05})), ";"), "colours beyond the palette: black"},
		{"gif-transparent-beyond.gif", fine, join(two, "!\xf9\x04\x01\x00\x00\xff\x00", pixels, ";"), "a transparent colour beyond the palette"},
		{"gif-interlaced-low.gif", fine, join(two, frame(0, 0, 2, 2, 0x40, codes), ";"), "interlaced, and lower than the first pass"},
		{"gif-lzw-0.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(0, []byte{4, 0, 10})), ";"), "codes of 0 bits"},
		{"gif-lzw-1.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(1, []byte{4, 0, 10})), ";"), "codes of 1 bit"},
		{"gif-lzw-9.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(9, []byte{4, 0, 10})), ";"), "codes of 9 bits"},
		{"gif-lzw-255.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(255, []byte{4, 0, 10})), ";"), "codes of 255 bits"},
		{"gif-lzw-empty.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(2, nil)), ";"), "no pixels"},
		{"gif-lzw-short.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(2, []byte{0x04, 0x0a})), ";"), "an end before the last pixel"},
		{"gif-lzw-bad-code.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(2, []byte{0xfc, 0xff, 0xff})), ";"), "a code that does not exist yet"},
		{"gif-lzw-clears.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, blocks(2, bytes.Repeat([]byte{0x24, 0x49, 0x92}, 2000))), ";"), "16,000 clear codes and no pixel"},
		{"gif-lzw-too-long.gif", fine, join(two, frame(0, 0, 2, 2, 0, lzwZeros(300_000)), ";"), "300,000 pixels for a picture of four"},
		{"gif-lzw-bomb.gif", fine, join(screen(2048, 2047), frame(0, 0, 2048, 2047, 0, lzwZeros(2048*2047)), ";"), "4 million pixels in a few KB: as large as may be, and read"},
		{"gif-lzw-bomb-too-large.gif", tooLarge, join(screen(2, 2), frame(0, 0, 4000, 4000, 0, lzwZeros(100_000)), ";"), "16 million pixels"},
		{"gif-no-trailer.gif", fine, join(two, pixels), "no end"},
		{"gif-block-beyond.gif", corrupt, join(two, frame(0, 0, 2, 2, 0, []byte{2, 255, 4})), "a block of 255 bytes of which one is there"},
		{"gif-extension-open.gif", corrupt, join(two, "!\xfe\xff"), "an extension that nobody ends"},
		{"gif-extension-unknown.gif", fine, join(two, "!\x42\x01x\x00", pixels, ";"), "an extension that nobody knows"},
		{"gif-block-unknown.gif", corrupt, join(two, "?", pixels, ";"), "a block that nobody knows"},
		{"gif-comments.gif", fine, join(two, bytes.Repeat([]byte("!\xfe\x01x\x00"), 2000), pixels, ";"), "2,000 comments"},
		{"gif-control-blocks.gif", fine, join(two, bytes.Repeat([]byte("!\xf9\x04\x01\x00\x00\x00\x00"), 1000), pixels, ";"), "1,000 controls for one picture"},
		{"gif-loop-for-ever.gif", fine, join(two, "!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00", pixels, ";"), "an animation that never ends"},
		{"gif-1000-frames.gif", fine, join(two, bytes.Repeat(pixels, 1000), ";"), "1,000 pictures: the first counts"},
		{"gif-frames-bomb.gif", fine, join(two, pixels, bytes.Repeat(frame(0, 0, 65535, 65535, 0, codes), 500), ";"), "500 pictures of 4 billion pixels behind the first"},
		{"gif-javascript.gif", tooLarge, []byte("GIF89a/*\x00\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,*/=1;alert(1)//;"), "GIF and JavaScript: its width is a comment"},
		{"gif-javascript-87.gif", corrupt, []byte("GIF87a=1;alert(1)"), "GIF and JavaScript, without pixels"},
		{"gif-html.gif", fine, join(two, "!\xfe\x19<script>alert(1)</script>\x00", pixels, ";<script>alert(1)</script>"), "GIF and HTML"},
		{"gif-zip.gif", fine, join(two, pixels, ";PK\x05\x06", make([]byte, 18)), "GIF and ZIP"},
		{"gif-php.gif", fine, join(two, pixels, ";<?php system($_GET[0]); ?>"), "GIF and PHP"},
	}
	return all
}
