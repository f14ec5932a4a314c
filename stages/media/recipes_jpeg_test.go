package media

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Markers.
const (
	sof0, sof2, dht, sos, dqt, dri = 0xc0, 0xc2, 0xc4, 0xda, 0xdb, 0xdd
)

func segment(marker int, content ...any) []byte {
	body := join(content...)
	return join(0xff, marker, be16(2+len(body)), body)
}

// segmentAt is where the first segment of a marker begins.
func segmentAt(t *testing.T, data []byte, marker int) int {
	t.Helper()
	for at := 2; at+4 <= len(data); at += 2 + int(data[at+2])<<8 + int(data[at+3]) {
		if int(data[at+1]) == marker {
			return at
		}
	}
	require.Failf(t, "no segment", "%#x", marker)
	return 0
}

// before puts segments in front of the first one of a marker.
func before(t *testing.T, data []byte, marker int, segments ...any) []byte {
	t.Helper()
	at := segmentAt(t, data, marker)
	return join(data[:at], join(segments...), data[at:])
}

// edited has bytes of the first segment of a marker replaced; offset counts from behind its length.
func edited(t *testing.T, data []byte, marker, offset int, with ...any) []byte {
	t.Helper()
	data = bytes.Clone(data)
	copy(data[segmentAt(t, data, marker)+4+offset:], join(with...))
	return data
}

func without(t *testing.T, data []byte, marker int) []byte {
	t.Helper()
	at := segmentAt(t, data, marker)
	return join(data[:at], data[at+2+int(data[at+2])<<8+int(data[at+3]):])
}

func jpegs(t *testing.T) []recipe {
	t.Helper()
	grey, colour := sample(t, "jpeg-grey.jpg"), sample(t, "jpeg-444-16x16.jpg")
	progressive, restarts := sample(t, "jpeg-444-progressive.jpg"), sample(t, "jpeg-444-restarts.jpg")
	size := func(height, width int) []byte { return edited(t, grey, sof0, 1, be16(height), be16(width)) }
	kind := func(marker int) []byte {
		data := bytes.Clone(grey)
		data[segmentAt(t, grey, sof0)+1] = byte(marker)
		return data
	}
	body := segmentAt(t, grey, sos) + 4 + 6
	head := grey[:body]
	frameHeader := grey[segmentAt(t, grey, sof0) : segmentAt(t, grey, sof0)+2+11]
	wrongRestart := bytes.Replace(restarts, []byte{0xff, 0xd0}, []byte{0xff, 0xd5}, 1)
	exif := func(data []byte) []byte { return before(t, grey, sof0, segment(0xe1, "Exif\x00\x00", data)) }

	// A progressive scan of 12 bytes that passes over the whole picture and brings nothing.
	table := segment(dht, 0x10, 1, make([]byte, 15), 0xe0)
	emptyScan := func(k int) []byte { return join(segment(sos, 1, 1, 0, k, k, 1), 0x7f, 0xfe) }
	start := join(progressive[:segmentAt(t, progressive, sos)], table)
	large := edited(t, start, sof2, 1, be16(2048), be16(2048))
	var scans []byte
	for component := range 3 {
		for k := range 63 {
			scan := emptyScan(k + 1)
			scan[5] += byte(component)
			scans = join(scans, scan)
		}
	}
	for k := range 63 {
		scan := emptyScan(k + 1)
		scan[9] = 0x10
		scans = join(scans, scan)
	}
	component := segment(sos, 1, 1, colour[segmentAt(t, colour, sos)+6:][:1], 0, 63, 0)
	many := func(segments []byte, n int) []byte { return before(t, grey, sof0, bytes.Repeat(segments, n)) }

	all := []recipe{
		{"jpeg-fine.jpg", fine, grey, "a good JPEG, so that the others fail for what they try"},
		{"jpeg-soi.jpg", corrupt, []byte("\xff\xd8\xff"), "three bytes"},
		{"jpeg-soi-eoi.jpg", corrupt, []byte("\xff\xd8\xff\xd9"), "a beginning and an end"},
		{"jpeg-sois.jpg", corrupt, bytes.Repeat([]byte("\xff\xd8"), 2000), "2,000 beginnings"},
		{"jpeg-fill-bytes.jpg", corrupt, join("\xff\xd8", bytes.Repeat([]byte{0xff}, 20_000)), "nothing but fill bytes"},
		{"jpeg-text-behind-magic.jpg", corrupt, []byte("\xff\xd8\xff\xe0 hello, I am a picture"), "text behind the first bytes"},
		{"jpeg-no-frame.jpg", corrupt, without(t, grey, sof0), "no frame header"},
		{"jpeg-no-scan.jpg", corrupt, join(grey[:segmentAt(t, grey, sos)], "\xff\xd9"), "no scan"},
		{"jpeg-no-huffman.jpg", corrupt, without(t, grey, dht), "no Huffman table"},
		{"jpeg-no-quantization.jpg", corrupt, without(t, grey, dqt), "no quantization table"},
		{"jpeg-two-frames.jpg", corrupt, before(t, grey, sof0, segment(sof0, 8, be16(1), be16(1), 1, 1, 0x11, 0)), "a small frame header, then a larger one"},
		{"jpeg-frame-behind-end.jpg", fine, join(progressive, frameHeader), "a second frame header behind the end"},
		{"jpeg-0x0.jpg", corrupt, size(0, 0), "no pixels"},
		{"jpeg-width-0.jpg", corrupt, size(16, 0), "no width"},
		{"jpeg-height-0.jpg", corrupt, size(0, 16), "no height: it would stand behind the picture"},
		{"jpeg-dnl.jpg", corrupt, before(t, size(0, 16), sos, segment(0xdc, be16(16))), "a height of its own"},
		{"jpeg-1x65535.jpg", tooLarge, size(65535, 1), "1×65535"},
		{"jpeg-65535x1.jpg", tooLarge, size(1, 65535), "65535×1"},
		{"jpeg-65535.jpg", tooLarge, size(65535, 65535), "4 billion pixels"},
		{"jpeg-pixels.jpg", tooLarge, size(2048, 2049), "sides that are allowed and pixels that are not"},
		{"jpeg-larger-than-data.jpg", corrupt, size(2048, 2048), "4 million pixels declared, a few there"},
		{"jpeg-12-bit.jpg", notImage, edited(t, kind(0xc1), 0xc1, 0, 12), "12 bits a sample"},
		{"jpeg-16-bit.jpg", notImage, edited(t, grey, sof0, 0, 16), "16 bits a sample"},
		{"jpeg-0-bit.jpg", notImage, edited(t, grey, sof0, 0, 0), "no bits a sample"},
		{"jpeg-arithmetic.jpg", notImage, kind(0xc9), "arithmetic coding"},
		{"jpeg-arithmetic-progressive.jpg", notImage, kind(0xca), "arithmetic coding, progressive"},
		{"jpeg-arithmetic-tables.jpg", notImage, before(t, grey, sof0, segment(0xcc, 0, 0)), "tables of arithmetic coding"},
		{"jpeg-lossless.jpg", notImage, kind(0xc3), "lossless"},
		{"jpeg-differential.jpg", notImage, kind(0xc5), "hierarchical"},
		{"jpeg-jpeg-ls.jpg", corrupt, kind(0xf7), "JPEG-LS"},
		{"jpeg-extended.jpg", fine, kind(0xc1), "extended, 8 bits: read as any other"},
		{"jpeg-2-components.jpg", notImage, before(t, without(t, grey, sof0), sos, segment(sof0, 8, be16(8), be16(8), 2, 1, 0x11, 0, 2, 0x11, 0)), "two components"},
		{"jpeg-5-components.jpg", notImage, before(t, without(t, grey, sof0), sos, segment(sof0, 8, be16(8), be16(8), 5, bytes.Repeat([]byte{1, 0x11, 0}, 5))), "five components"},
		{"jpeg-0-components.jpg", notImage, before(t, without(t, grey, sof0), sos, segment(sof0, 8, be16(8), be16(8), 0)), "no components"},
		{"jpeg-255-components.jpg", corrupt, edited(t, grey, sof0, 5, 255), "255 components that are not there"},
		{"jpeg-equal-components.jpg", corrupt, edited(t, colour, sof0, 9, 1), "two components of one name"},
		{"jpeg-sampling-0.jpg", corrupt, edited(t, grey, sof0, 7, 0), "no sampling"},
		{"jpeg-sampling-15.jpg", corrupt, edited(t, grey, sof0, 7, 0xff), "sampling of 15×15"},
		{"jpeg-sampling-fraction.jpg", notImage, edited(t, colour, sof0, 7, 0x31, 0, 2, 0x21), "sampling of 3:2"},
		{"jpeg-huffman-overfull.jpg", corrupt, before(t, grey, sos, segment(dht, 0, 3, make([]byte, 18))), "three codes of one bit"},
		{"jpeg-huffman-long.jpg", corrupt, edited(t, grey, dht, 1, bytes.Repeat([]byte{255}, 16)), "4,080 codes"},
		{"jpeg-huffman-dc-size.jpg", corrupt, edited(t, grey, dht, 17, 200), "a coefficient of 200 bits"},
		{"jpeg-huffman-table-4.jpg", corrupt, edited(t, grey, dht, 0, 4), "a fifth table"},
		{"jpeg-huffman-many.jpg", fine, before(t, grey, sof0, bytes.Repeat(table, 500)), "500 tables, each in place of the one before"},
		{"jpeg-quantization-zero.jpg", fine, edited(t, grey, dqt, 1, make([]byte, 64)), "a quantization of zeros: all grey"},
		{"jpeg-quantization-short.jpg", corrupt, edited(t, grey, dqt, 0, 0x10), "a table of 16 bits that is too short"},
		{"jpeg-quantization-large.jpg", fine, before(t, without(t, grey, dqt), sof0, segment(dqt, 0x10, bytes.Repeat([]byte{0xff, 0xff}, 64))), "a quantization of 65,535: numbers wrap round"},
		{"jpeg-quantization-late.jpg", corrupt, join(without(t, grey, dqt), grey[segmentAt(t, grey, dqt):][:69]), "the quantization table behind the picture"},
		{"jpeg-scan-short.jpg", corrupt, edited(t, grey, sos, 0, 0), "a scan of nothing"},
		{"jpeg-scan-stranger.jpg", corrupt, edited(t, grey, sos, 1, 9), "a scan of a component that does not exist"},
		{"jpeg-scan-twice.jpg", corrupt, edited(t, colour, sos, 3, 1), "a component twice in one scan"},
		{"jpeg-scans-of-one-component.jpg", corrupt, join(colour[:segmentAt(t, colour, sos)], bytes.Repeat(join(component, make([]byte, 400)), 20)), "the same component twenty times"},
		{"jpeg-scans-out-of-order.jpg", corrupt, join(start, bytes.Repeat(emptyScan(1), 100)), "the same coefficients a hundred times"},
		{"jpeg-scans-many.jpg", corrupt, join(large, scans), "252 scans of 12 bytes over 4 million pixels"},
		{"jpeg-scan-bits.jpg", corrupt, edited(t, progressive, sos, 9, 0xff), "coefficients shifted by 15 bits"},
		{"jpeg-scan-fill-bytes.jpg", corrupt, join(edited(t, head, sof0, 1, be16(8), be16(4096)), bytes.Repeat([]byte{0xff}, 30_000), 0xd9), "fill bytes in place of pixels: to be passed over once"},
		{"jpeg-scan-zeros.jpg", byDecoder, join(edited(t, head, sof0, 1, be16(2048), be16(2048)), make([]byte, 5_000), "\xff\xd9"), "zeros in place of pixels"},
		{"jpeg-scan-ones.jpg", byDecoder, join(edited(t, head, sof0, 1, be16(512), be16(512)), bytes.Repeat([]byte{0xff, 0}, 2_500), "\xff\xd9"), "ones in place of pixels"},
		{"jpeg-eoi-early.jpg", corrupt, join(head, "\xff\xd9"), "an end in place of pixels"},
		{"jpeg-eoi-missing.jpg", fine, grey[:len(grey)-2], "no end"},
		{"jpeg-quarter.jpg", corrupt, grey[:len(grey)/4], "a quarter of it"},
		{"jpeg-half.jpg", corrupt, grey[:(body+len(grey))/2], "half of its pixels"},
		{"jpeg-last-bytes.jpg", corrupt, colour[:len(colour)-20], "the last bytes are missing"},
		{"jpeg-restart-wrong.jpg", corrupt, wrongRestart, "a restart marker out of turn"},
		{"jpeg-restart-missing.jpg", corrupt, bytes.Replace(restarts, []byte{0xff, 0xd0}, []byte{0xff, 0x00}, 1), "a restart marker that is gone"},
		{"jpeg-restart-every-block.jpg", corrupt, before(t, grey, sos, segment(dri, be16(1))), "restarts announced that do not come"},
		{"jpeg-restart-long.jpg", corrupt, before(t, grey, sos, segment(dri, be32(1))), "a restart interval of four bytes"},
		{"jpeg-segment-0.jpg", corrupt, before(t, grey, sof0, "\xff\xe5\x00\x00"), "a segment of no bytes"},
		{"jpeg-segment-1.jpg", corrupt, before(t, grey, sof0, "\xff\xe5\x00\x01"), "a segment shorter than its length"},
		{"jpeg-segment-beyond.jpg", corrupt, before(t, grey, sof0, "\xff\xe5\xff\xff"), "a segment that ends behind the file"},
		{"jpeg-garbage-between.jpg", fine, before(t, grey, sof0, "garbage \xff\x00"), "garbage between segments, as encoders leave"},
		{"jpeg-comments.jpg", fine, many(segment(0xfe, "x"), 2000), "2,000 comments"},
		{"jpeg-comment-large.jpg", fine, many(segment(0xfe, make([]byte, 30_000)), 1), "a comment of 30,000 bytes"},
		{"jpeg-icc-bomb.jpg", fine, many(segment(0xe2, "ICC_PROFILE\x00", 1, 255, make([]byte, 10)), 255), "a colour profile in 255 parts, all the first"},
		{"jpeg-icc-part-0.jpg", fine, many(segment(0xe2, "ICC_PROFILE\x00", 0, 0), 1), "a colour profile of no parts"},
		{"jpeg-adobe-cut.jpg", fine, many(segment(0xee, "Adobe"), 1), "Adobe's segment, cut"},
		{"jpeg-jfif-thumbnail.jpg", fine, many(segment(0xe0, "JFIF\x00\x01\x02\x00\x00\x01\x00\x01\xff\xff"), 1), "a thumbnail of 255×255 that is not there"},
		{"jpeg-xmp-laughs.jpg", fine, many(segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00", laughs), 1), "XMP that would grow"},
		{"jpeg-exif-many.jpg", fine, many(segment(0xe1, "Exif\x00\x00", tiff(8, 0, nil)), 500), "500 EXIF blocks"},
		{"jpeg-exif-empty.jpg", fine, exif(nil), "EXIF of no bytes"},
		{"jpeg-html.jpg", fine, join(before(t, grey, sof0, segment(0xfe, "<script>alert(1)</script>")), "<script>alert(1)</script>"), "JPEG and HTML"},
		{"jpeg-javascript.jpg", fine, before(t, grey, sof0, segment(0xfe, "*/=alert(1);/*")), "JPEG and JavaScript"},
		{"jpeg-zip.jpg", fine, join(grey, "PK\x05\x06", make([]byte, 18)), "JPEG and ZIP"},
		{"jpeg-phar.jpg", fine, join(before(t, grey, sof0, segment(0xfe, "<?php __HALT_COMPILER(); ?>")), "GBMB"), "JPEG and PHAR"},
		{"jpeg-pdf.jpg", fine, before(t, grey, sof0, segment(0xfe, "%PDF-1.4\n%%EOF")), "JPEG and PDF"},
		{"jpeg-png.jpg", fine, join(grey, simplePNG()), "JPEG and PNG: the first counts"},
	}
	for _, e := range exifs() {
		all = append(all, recipe{fmt.Sprintf("jpeg-exif-%s.jpg", e.name), fine, exif(e.data), "EXIF, " + e.name + ": the picture is shown as it lies"})
	}
	return all
}
