package jpeg

import (
	"bytes"
	"encoding/binary"
)

// Parse reads a file up to its first scan, so that the caller can look at its size before Decode takes memory.
func Parse(data []byte) (*Picture, error) {
	if len(data) < 2 || data[0] != 0xff || data[1] != markerSOI {
		return nil, corrupt("it does not begin with a SOI marker")
	}
	p := &Picture{data: data, pos: 2}
	marker, err := p.readTables()
	switch {
	case err != nil:
		return nil, err
	case marker != markerSOS:
		return nil, corrupt("it ends before its first scan")
	case p.Components == nil:
		return nil, corrupt("a scan comes before the frame header")
	}
	return p, nil
}

// readTables reads segments up to SOS, whose segment it leaves for readScan, or EOI.
func (p *Picture) readTables() (byte, error) {
	for {
		marker, err := p.nextMarker()
		if err != nil {
			return 0, err
		}
		switch {
		case marker == markerSOS, marker == markerEOI:
			return marker, nil
		case marker == markerTEM, marker >= markerRST0 && marker <= markerRST7:
			continue
		}
		at := p.pos
		segment, err := p.segment(marker)
		if err != nil {
			return 0, err
		}
		switch marker {
		case markerSOF0, markerSOF1, markerSOF2:
			err = p.readFrame(marker, segment)
		case markerDHT:
			err = p.readHuffman(segment)
		case markerDQT:
			err = p.readQuantization(segment)
		case markerDRI:
			if len(segment) != 2 {
				return 0, corrupt("the restart interval at byte %d has %d bytes", at, len(segment))
			}
			p.restart = int(binary.BigEndian.Uint16(segment))
		case markerDNL:
			err = unsupported("its height stands in a DNL segment")
		case markerAPP0, markerAPP1, markerAPP14:
			p.readApplication(marker, segment)
		default:
			if marker >= markerSOF0 && marker <= markerSOF15 && marker != markerJPG || marker == markerDAC {
				err = unsupported("lossless, hierarchical or arithmetic coding (marker %#x)", marker)
			}
		}
		if err != nil {
			return 0, err
		}
	}
}

// nextMarker skips to the next marker. Bytes in between are an encoder's mistake that libjpeg forgives too.
func (p *Picture) nextMarker() (byte, error) {
	for p.pos+1 < len(p.data) {
		i := bytes.IndexByte(p.data[p.pos:len(p.data)-1], 0xff)
		if i < 0 {
			break
		}
		p.pos += i + 1
		if c := p.data[p.pos]; c != 0 && c != 0xff {
			p.pos++
			return c, nil
		}
	}
	return 0, corrupt("it ends after %d bytes, without an EOI marker", len(p.data))
}

func (p *Picture) segment(marker byte) ([]byte, error) {
	rest := p.data[p.pos:]
	if len(rest) < 2 {
		return nil, corrupt("it ends after %d bytes, inside segment %#x", len(p.data), marker)
	}
	n := int(binary.BigEndian.Uint16(rest))
	if n < 2 {
		return nil, corrupt("segment %#x at byte %d claims %d bytes", marker, p.pos, n)
	}
	if n > len(rest) {
		return nil, corrupt("it ends after %d bytes, inside segment %#x", len(p.data), marker)
	}
	p.pos += n
	return rest[2:n], nil
}

// readApplication heeds what stands in front of the first scan, as libjpeg and Pillow do.
func (p *Picture) readApplication(marker byte, segment []byte) {
	if p.scans > 0 {
		return
	}
	switch marker {
	case markerAPP0:
		if len(segment) >= 14 && bytes.HasPrefix(segment, []byte("JFIF\x00")) {
			p.jfif = true
		}
	case markerAPP1:
		if bytes.HasPrefix(segment, []byte("Exif\x00\x00")) && p.EXIF == nil {
			p.EXIF = segment
		}
		if bytes.HasPrefix(segment, []byte("http://ns.adobe.com/xap/1.0/\x00")) {
			p.XMP = segment
		}
	case markerAPP14:
		if len(segment) >= 12 && bytes.HasPrefix(segment, []byte("Adobe")) {
			p.adobe, p.adobeTransform = true, segment[11]
		}
	}
}

func (p *Picture) readFrame(marker byte, s []byte) error {
	if p.Components != nil {
		return corrupt("it has two frame headers")
	}
	if len(s) < 6 || len(s) != 6+3*int(s[5]) {
		return corrupt("its frame header has %d bytes", len(s))
	}
	if s[0] != 8 {
		return unsupported("samples of %d bits", s[0])
	}
	p.progressive = marker == markerSOF2
	p.Height, p.Width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	if p.Width == 0 || p.Height == 0 {
		return corrupt("it declares %d×%d pixels", p.Width, p.Height)
	}
	if n := s[5]; n != 1 && n != 3 && n != 4 {
		return unsupported("%d components", n)
	}
	p.Components = make([]Component, s[5])
	for i := range p.Components {
		c, spec := &p.Components[i], s[6+3*i:]
		c.ID, c.H, c.V, c.quant = spec[0], int(spec[1]>>4), int(spec[1]&15), spec[2]
		if c.H < 1 || c.H > maxSampling || c.V < 1 || c.V > maxSampling || c.quant >= maxTables {
			return corrupt("component %d has sampling %d×%d and quantization table %d", i, c.H, c.V, c.quant)
		}
		for _, other := range p.Components[:i] {
			if other.ID == c.ID {
				return corrupt("two components are called %d", c.ID)
			}
		}
		p.maxH, p.maxV = max(p.maxH, c.H), max(p.maxV, c.V)
	}
	p.mcusWide = divideUp(p.Width, blockSide*p.maxH)
	p.mcusHigh = divideUp(p.Height, blockSide*p.maxV)
	for i := range p.Components {
		c := &p.Components[i]
		if p.maxH%c.H != 0 || p.maxV%c.V != 0 {
			return unsupported("component %d is sampled %d×%d where another has %d×%d", i, c.H, c.V, p.maxH, p.maxV)
		}
		c.Width, c.Height = divideUp(p.Width*c.H, p.maxH), divideUp(p.Height*c.V, p.maxV)
		c.wide, c.high = p.mcusWide*c.H, p.mcusHigh*c.V
		c.Stride = c.wide * blockSide
	}
	return nil
}

func divideUp(a, b int) int { return (a + b - 1) / b }

func (p *Picture) readQuantization(s []byte) error {
	for len(s) > 0 {
		precision, id := s[0]>>4, s[0]&15
		s = s[1:]
		if precision > 1 || id >= maxTables || len(s) < blockSamples*int(precision+1) {
			return corrupt("quantization table %d (precision %d) is cut short or out of range", id, precision)
		}
		table := new([blockSamples]int32)
		for _, at := range zigzag {
			if precision == 0 {
				table[at] = int32(s[0])
			} else {
				table[at] = int32(binary.BigEndian.Uint16(s))
			}
			s = s[precision+1:]
		}
		p.quant[id] = table
	}
	return nil
}

func (p *Picture) readHuffman(s []byte) error {
	for len(s) > 0 {
		class, id := s[0]>>4, s[0]&15
		if class > 1 || id >= maxTables {
			return corrupt("Huffman table %d of class %d is out of range", id, class)
		}
		table, n, err := newHuffman(s[1:], class == 1)
		if err != nil {
			return err
		}
		if class == 0 {
			p.dc[id] = table
		} else {
			p.ac[id] = table
		}
		s = s[1+n:]
	}
	return nil
}
