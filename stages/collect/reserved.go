package collect

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
)

// prohibited begins every value by which plus:DataMining in an image's XMP
// forbids data mining, all of it or some: IPTC Photo Metadata Standard 2023.1, PLUS vocabulary
// http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED…
var prohibited = []byte("DMI-PROHIBITED")

// maxXMP bounds what is inflated of an image's metadata.
const maxXMP = 1 << 20

// Reserved reports whether an encoded image says by its metadata that it must
// not be used for training, or not for some kinds of it. XMP lies as it is in JPEG, WebP and GIF; in PNG it may
// be compressed. Nothing else spells these words by chance, so they are looked
// for wherever they stand.
func Reserved(data []byte) bool {
	return bytes.Contains(data, prohibited) || bytes.Contains(compressedXMP(data), prohibited)
}

var (
	pngSignature = []byte("\x89PNG\r\n\x1a\n")
	xmpKeyword   = []byte("XML:com.adobe.xmp\x00\x01\x00") // compressed, by zlib
)

// compressedXMP returns a PNG's compressed XMP, nil where there is none that
// can be read.
func compressedXMP(data []byte) []byte {
	rest, isPNG := bytes.CutPrefix(data, pngSignature)
	for isPNG && len(rest) >= 12 { // length, type, checksum
		size := int(binary.BigEndian.Uint32(rest))
		if size > len(rest)-12 {
			return nil
		}
		kind, body := string(rest[4:8]), rest[8:8+size]
		rest = rest[12+size:]
		text, isXMP := bytes.CutPrefix(body, xmpKeyword)
		if kind != "iTXt" || !isXMP {
			continue
		}
		for range 2 { // language and translated keyword
			_, after, found := bytes.Cut(text, []byte{0})
			if !found {
				return nil
			}
			text = after
		}
		z, err := zlib.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil
		}
		// What is read before an error counts, too.
		xmp, _ := io.ReadAll(io.LimitReader(z, maxXMP))
		return xmp
	}
	return nil
}
