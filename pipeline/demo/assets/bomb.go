package assets

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
)

// bombSide makes 400 million pixels: 50 MB of bits, all black.
const bombSide = 20_000

// bomb returns a valid PNG of some 50 KB whose pixels would fill a gigabyte:
// whoever decodes it before looking at its header runs out of memory.
var bomb = sync.OnceValues(func() ([]byte, error) {
	var squeezed bytes.Buffer
	z := zlib.NewWriter(&squeezed)
	row := make([]byte, 1+bombSide/8) // the filter type, then one bit a pixel
	for range bombSide {
		if _, err := z.Write(row); err != nil {
			return nil, fmt.Errorf("compress a bomb: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress a bomb: %w", err)
	}
	header := binary.BigEndian.AppendUint32(nil, bombSide)
	header = binary.BigEndian.AppendUint32(header, bombSide)
	header = append(header, 1, 0, 0, 0, 0) // one bit of grey, no interlacing
	png := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []struct {
		name string
		data []byte
	}{{"IHDR", header}, {"IDAT", squeezed.Bytes()}, {"IEND", nil}} {
		png = binary.BigEndian.AppendUint32(png, uint32(len(chunk.data)))
		body := append([]byte(chunk.name), chunk.data...)
		png = append(png, body...)
		png = binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(body))
	}
	return png, nil
})
