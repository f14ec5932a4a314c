package media

import (
	"bytes"
	"hash/adler32"
	"hash/crc32"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

func chunk(kind string, content ...any) []byte {
	body := join(kind, join(content...))
	return join(be32(len(body)-4), body, be32(int(crc32.ChecksumIEEE(body))))
}

// header is an IHDR chunk: bits a sample, and PNG's number for the kind of colours.
func header(width, height, bits, colours int) []byte {
	return chunk("IHDR", be32(width), be32(height), bits, colours, 0, 0, 0)
}

// stored is zlib without compression.
func stored(raw []byte) []byte {
	var blocks []byte
	for rest := raw; ; {
		n := min(len(rest), 0xffff)
		last := 0
		if n == len(rest) {
			last = 1
		}
		blocks = join(blocks, last, le16(n), le16(^n), rest[:n])
		if rest = rest[n:]; last == 1 {
			break
		}
	}
	return join(0x78, 0x01, blocks, be32(int(adler32.Checksum(raw))))
}

// inflating is zlib for n zeros, n a multiple of 258 and one more: a literal, then the longest match there is, 13 bits each.
func inflating(n int) []byte {
	var out []byte
	var bits uint64
	var have int
	put := func(value uint64, count int) {
		bits |= value << have
		for have += count; have >= 8; have -= 8 {
			out = append(out, byte(bits))
			bits >>= 8
		}
	}
	put(0b011, 3)       // the last block, fixed codes
	put(0b00001100, 8)  // literal 0: code 00110000, its first bit first
	for range n / 258 { // length 258: code 11000101; distance 1: code 00000
		put(0b10100011, 8)
		put(0, 5)
	}
	put(0, 7)                                         // end of block
	put(0, 7)                                         // fill the last byte
	return join(0x78, 0x01, out, be32(n%65521<<16|1)) // Adler-32 of zeros
}

func pngWith(chunks ...any) []byte { return join(pngSignature, join(chunks...), chunk("IEND")) }

// simplePNG is four grey pixels.
func simplePNG() []byte { return pngWith(header(2, 2, 8, 0), greyPixels()) }

// greyPixels is the IDAT chunk of simplePNG.
func greyPixels() []byte { return chunk("IDAT", stored([]byte("\x00ab\x00cd"))) }

func pngs() []recipe {
	grey := header(2, 2, 8, 0)
	data := greyPixels()
	indexed := header(2, 1, 8, 3)
	broken := func(chunk []byte) []byte { // its checksum
		out := bytes.Clone(chunk)
		out[len(out)-1] ^= 0xff
		return out
	}
	raw := func(width, height, bits, colours, compression, filter, interlace int) []byte {
		return pngWith(chunk("IHDR", be32(width), be32(height), bits, colours, compression, filter, interlace), data)
	}
	all := []recipe{
		{"png-fine.png", fine, simplePNG(), "a good PNG, so that the others fail for what they try"},
		{"png-signature.png", corrupt, []byte(pngSignature), "a signature and nothing else"},
		{"png-no-ihdr.png", corrupt, pngWith(data), "pixels before the header"},
		{"png-ihdr-later.png", corrupt, pngWith(chunk("tEXt", "a\x00b"), grey, data), "the header is not the first chunk"},
		{"png-ihdr-short.png", corrupt, pngWith(chunk("IHDR", be32(2), be32(2), 8, 0), data), "a header of 10 bytes"},
		{"png-ihdr-long.png", corrupt, pngWith(chunk("IHDR", be32(2), be32(2), 8, 0, 0, 0, 0, 0), data), "a header of 14 bytes"},
		{"png-ihdr-twice.png", corrupt, pngWith(grey, header(4000, 4000, 8, 6), data), "a second, larger header"},
		{"png-ihdr-checksum.png", corrupt, pngWith(broken(grey), data), "a header with a wrong checksum"},
		{"png-idat-checksum.png", corrupt, pngWith(grey, broken(data)), "pixels with a wrong checksum"},
		{"png-no-idat.png", corrupt, pngWith(grey), "no pixels"},
		{"png-no-iend.png", corrupt, join(pngSignature, grey, data), "no end"},
		{"png-width-0.png", corrupt, raw(0, 2, 8, 0, 0, 0, 0), "no width"},
		{"png-height-0.png", corrupt, raw(2, 0, 8, 0, 0, 0, 0), "no height"},
		{"png-1x65535.png", tooLarge, raw(1, 65535, 8, 0, 0, 0, 0), "1×65535"},
		{"png-65535x1.png", tooLarge, raw(65535, 1, 8, 0, 0, 0, 0), "65535×1"},
		{"png-2-31.png", tooLarge, raw(1<<31-1, 1<<31-1, 16, 6, 0, 0, 0), "2⁶² pixels of 8 bytes"},
		{"png-negative.png", tooLarge, raw(-1, -1, 8, 6, 0, 0, 0), "-1×-1, or 2³²-1 squared"},
		{"png-product-overflow.png", tooLarge, raw(1<<16, 1<<16, 8, 6, 0, 0, 0), "a product of 2³², which is 0 in 32 bits"},
		{"png-pixels.png", tooLarge, raw(2049, 2048, 1, 0, 0, 0, 0), "sides that are allowed and pixels that are not"},
		{"png-bits-0.png", notImage, raw(2, 2, 0, 0, 0, 0, 0), "no bits a sample"},
		{"png-bits-3.png", notImage, raw(2, 2, 3, 0, 0, 0, 0), "three bits a sample"},
		{"png-bits-32.png", notImage, raw(2, 2, 32, 2, 0, 0, 0), "32 bits a sample"},
		{"png-colours-1.png", notImage, raw(2, 2, 8, 1, 0, 0, 0), "a kind of colours that does not exist"},
		{"png-palette-16-bit.png", notImage, raw(2, 2, 16, 3, 0, 0, 0), "a palette of 16 bits"},
		{"png-rgb-1-bit.png", notImage, raw(2, 2, 1, 2, 0, 0, 0), "RGB of one bit"},
		{"png-compression-1.png", notImage, raw(2, 2, 8, 0, 1, 0, 0), "another compression"},
		{"png-filter-method-1.png", notImage, raw(2, 2, 8, 0, 0, 1, 0), "another filter method"},
		{"png-interlace-2.png", corrupt, raw(2, 2, 8, 0, 0, 0, 2), "another kind of interlacing"},
		{"png-filter-5.png", corrupt, pngWith(grey, chunk("IDAT", stored([]byte("\x05ab\x00cd")))), "a row with a filter that does not exist"},
		{"png-interlaced-tiny.png", fine, pngWith(chunk("IHDR", be32(1), be32(1), 8, 0, 0, 0, 1), chunk("IDAT", stored([]byte("\x00a")))), "one pixel in seven passes"},
		{"png-interlaced-short.png", corrupt, pngWith(chunk("IHDR", be32(64), be32(64), 8, 0, 0, 0, 1), chunk("IDAT", stored(make([]byte, 65)))), "the first pass of seven"},
		{"png-pixels-missing.png", corrupt, pngWith(header(64, 64, 8, 2), data), "four pixels of 4,096"},
		{"png-pixels-too-many.png", corrupt, pngWith(header(1, 1, 8, 0), chunk("IDAT", stored(make([]byte, 4096)))), "4,096 bytes for one pixel"},
		{"png-bomb-1x1.png", corrupt, pngWith(header(1, 1, 8, 0), chunk("IDAT", inflating(258*16_000+1))), "one pixel in 4 MB of zeros that take 26 KB"},
		{"png-bomb-within-limits.png", fine, pngWith(header(2044, 1901, 8, 0), chunk("IDAT", inflating(258*15_068+1))), "3,885,644 pixels in 26 KB: as large as may be, and read"},
		{"png-bomb-64-bit.png", corrupt, pngWith(header(2048, 2048, 16, 6), chunk("IDAT", inflating(258*4_000+1))), "32 MB declared, 1 MB there"},
		{"png-bomb-in-iccp.png", fine, pngWith(grey, chunk("iCCP", "x\x00\x00", inflating(258*4_000+1)), data), "a colour profile of 1 MB in 7 KB: nobody unpacks it"},
		{"png-bomb-in-ztxt.png", fine, pngWith(grey, chunk("zTXt", "x\x00\x00", inflating(258*4_000+1)), data), "a text of 1 MB in 7 KB: nobody unpacks it"},
		{"png-bomb-in-itxt.png", fine, pngWith(grey, chunk("iTXt", "XML:com.adobe.xmp\x00\x01\x00\x00\x00", inflating(258*4_000+1)), data), "compressed XMP of 1 MB in 7 KB: nobody unpacks it"},
		{"png-xmp-laughs.png", fine, pngWith(grey, chunk("iTXt", "XML:com.adobe.xmp\x00\x00\x00\x00\x00", laughs), data), "XMP that would grow"},
		{"png-zlib-header.png", corrupt, pngWith(grey, chunk("IDAT", "\xff\xff\x00\x00")), "pixels that are no zlib"},
		{"png-zlib-dictionary.png", corrupt, pngWith(grey, chunk("IDAT", "\x78\x20\x00\x00\x00\x01\x00")), "zlib that wants a dictionary"},
		{"png-zlib-block-type.png", corrupt, pngWith(grey, chunk("IDAT", "\x78\x01\x07\x00\x00")), "a block of a type that does not exist"},
		{"png-zlib-checksum.png", corrupt, pngWith(grey, chunk("IDAT", broken(stored([]byte("\x00ab\x00cd"))))), "zlib with a wrong checksum"},
		{"png-zlib-empty.png", corrupt, pngWith(grey, chunk("IDAT")), "pixels of no bytes"},
		{"png-idat-apart.png", corrupt, pngWith(grey, data[:0], chunk("IDAT", stored([]byte("\x00ab\x00cd"))[:8]), chunk("tEXt", "a\x00b"), chunk("IDAT", stored([]byte("\x00ab\x00cd"))[8:])), "pixels in two places"},
		{"png-idat-in-bytes.png", fine, pngWith(grey, oneByOne(stored([]byte("\x00ab\x00cd")))), "pixels in chunks of one byte"},
		{"png-empty-idats.png", fine, pngWith(grey, bytes.Repeat(chunk("IDAT"), 1000), data), "1,000 empty chunks before the pixels"},
		{"png-many-chunks.png", fine, pngWith(grey, bytes.Repeat(chunk("tEXt", "a\x00b"), 400), data), "400 texts"},
		{"png-chunk-length.png", corrupt, join(pngSignature, grey, be32(1<<31), "IDAT", data), "a chunk of 2 GiB"},
		{"png-chunk-length-negative.png", corrupt, join(pngSignature, grey, be32(-1), "tEXt", data), "a chunk of -1 bytes"},
		{"png-critical-unknown.png", fine, pngWith(grey, chunk("QUUX", "?"), data), "a critical chunk that nobody knows"},
		{"png-cgbi.png", corrupt, join(pngSignature, chunk("CgBI", be32(0x50002002)), grey, data, chunk("IEND")), "the PNG of iPhones"},
		{"png-no-palette.png", corrupt, pngWith(indexed, chunk("IDAT", stored([]byte("\x00\x00\x01")))), "a palette picture without its palette"},
		{"png-palette-empty.png", corrupt, pngWith(indexed, chunk("PLTE"), chunk("IDAT", stored([]byte("\x00\x00\x01")))), "a palette without colours"},
		{"png-palette-7-bytes.png", corrupt, pngWith(indexed, chunk("PLTE", make([]byte, 7)), chunk("IDAT", stored([]byte("\x00\x00\x01")))), "two colours and a third of one"},
		{"png-palette-257.png", corrupt, pngWith(indexed, chunk("PLTE", make([]byte, 771)), chunk("IDAT", stored([]byte("\x00\x00\x01")))), "257 colours"},
		{"png-palette-late.png", corrupt, pngWith(indexed, chunk("IDAT", stored([]byte("\x00\x00\x01"))), chunk("PLTE", make([]byte, 6))), "the palette behind the pixels"},
		{"png-palette-index.png", fine, pngWith(indexed, chunk("PLTE", "abc"), chunk("IDAT", stored([]byte("\x00\x00\xff")))), "a colour beyond the palette: black"},
		{"png-transparency-long.png", corrupt, pngWith(indexed, chunk("PLTE", "abc"), chunk("tRNS", make([]byte, 300)), chunk("IDAT", stored([]byte("\x00\x00\x00")))), "more transparencies than colours may be"},
		{"png-transparency-grey.png", corrupt, pngWith(grey, chunk("tRNS", 1), data), "half a transparent colour"},
		{"png-html.png", fine, join(simplePNG(), "<script>alert(1)</script>"), "PNG and HTML"},
		{"png-zip.png", fine, join(simplePNG(), "PK\x05\x06", make([]byte, 18)), "PNG and ZIP"},
		{"png-php-in-text.png", fine, pngWith(grey, chunk("tEXt", "Comment\x00<?php system($_GET[0]); ?>"), data), "PNG and PHP"},
		{"png-two.png", fine, join(simplePNG(), simplePNG()), "two PNGs: the first counts"},
		{"apng-2000-frames.png", fine, pngWith(grey, chunk("acTL", be32(2000), be32(0)), data, bytes.Repeat(join(
			chunk("fcTL", be32(0), be32(2), be32(2), be32(0), be32(0), be16(0), be16(0), 0, 0), chunk("fdAT", be32(1), "x"),
		), 200)), "an animation that says 2,000 frames and has 200: the first picture counts"},
		{"apng-frame-bomb.png", fine, pngWith(grey, chunk("acTL", be32(-1), be32(0)), chunk("fcTL", be32(0), be32(1<<30), be32(1<<30), be32(0), be32(0), be16(0), be16(0), 0, 0), data), "a frame of 2⁶⁰ pixels"},
	}
	for _, exif := range exifs() {
		all = append(all, recipe{"png-exif-" + exif.name + ".png", fine, pngWith(grey, data, chunk("eXIf", exif.data)), "EXIF, " + exif.name + ": the picture is shown as it lies"})
	}
	return all
}

func oneByOne(data []byte) []byte {
	var out []byte
	for _, b := range data {
		out = join(out, chunk("IDAT", int(b)))
	}
	return out
}
