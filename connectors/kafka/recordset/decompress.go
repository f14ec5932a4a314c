package recordset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

const (
	// maxWindow bounds what a zstd frame may ask for. Level 22 of the
	// reference encoder asks for 128 MiB; level 19 for 8 MiB.
	maxWindow = 32 << 20
	// maxSnappyBlock bounds one block. The xerial framing that Java writes
	// has blocks of 32 KiB; librdkafka writes the whole batch as one.
	maxSnappyBlock = 64 << 20
	// growStep is how much of a claimed length is believed at a time.
	growStep = 1 << 20
)

func newSource(payload []byte, codec compress.Compression, alloc memory.Allocator) source {
	in := bytes.NewReader(payload)
	switch codec {
	case compress.None:
		return &view{data: payload}
	case compress.Gzip, compress.Lz4:
		// Both formats have small, fixed windows.
		r := codec.Codec().NewReader(in)
		return newStream(r, func() { _ = r.Close() })
	case compress.Snappy:
		if len(payload) >= xerialHeader && bytes.HasPrefix(payload, xerialMagic) {
			return newStream(&snappyReader{in: payload[xerialHeader:]}, func() {})
		}
		return newBlock(payload, alloc)
	case compress.Zstd:
		// Not kafka-go's codec: it would let a frame of a few bytes ask for
		// gigabytes. Concurrency 1 runs without goroutines.
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return newStream(failing{err}, func() {})
		}
		return newStream(r, r.Close)
	default:
		return newStream(failing{fmt.Errorf("codec %d is unknown", codec)}, func() {})
	}
}

// view is a source over uncompressed records: nothing is copied.
type view struct{ data []byte }

func (v *view) ReadByte() (byte, error) {
	if len(v.data) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	b := v.data[0]
	v.data = v.data[1:]
	return b, nil
}

func (v *view) take(n int64) ([]byte, error) {
	if n > int64(len(v.data)) {
		return nil, io.ErrUnexpectedEOF
	}
	b := v.data[:n:n]
	v.data = v.data[n:]
	return b, nil
}

func (v *view) skip(n int64) error {
	_, err := v.take(n)
	return err
}

func (v *view) close() {}

// block is a source over records that were unpacked as a whole.
type block struct {
	view
	alloc memory.Allocator
	buf   []byte
}

// newBlock unpacks the one bare block of snappy that librdkafka and franz-go
// write.
func newBlock(payload []byte, alloc memory.Allocator) source {
	n, err := snappyLen(payload)
	if err != nil {
		return newStream(failing{err}, func() {})
	}
	b := &block{alloc: alloc, buf: alloc.Allocate(n)}
	if b.data, err = snappy.Decode(b.buf, payload); err != nil {
		b.close()
		return newStream(failing{fmt.Errorf("snappy: %w", err)}, func() {})
	}
	return b
}

func (b *block) close() {
	b.alloc.Free(b.buf)
	b.buf, b.data = nil, nil
}

// snappyLen is how long a block gets.
func snappyLen(src []byte) (int, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return 0, fmt.Errorf("snappy: %w", err)
	}
	if n > maxSnappyBlock {
		return 0, fmt.Errorf("snappy: a block of %d bytes, %d are allowed", n, maxSnappyBlock)
	}
	return n, nil
}

// stream is a source over a codec: one record at a time is in memory.
type stream struct {
	*bufio.Reader
	record []byte
	free   func()
}

func newStream(r io.Reader, free func()) *stream {
	return &stream{Reader: bufio.NewReaderSize(r, 32<<10), free: free}
}

func (s *stream) take(n int64) ([]byte, error) {
	s.record = s.record[:0]
	for int64(len(s.record)) < n {
		at := len(s.record)
		step := int(min(n-int64(at), max(growStep, int64(cap(s.record)-at))))
		if cap(s.record)-at < step {
			s.record = append(s.record, make([]byte, step)...)
		} else {
			s.record = s.record[:at+step]
		}
		if _, err := io.ReadFull(s.Reader, s.record[at:at+step]); err != nil {
			return nil, noEOF(err)
		}
		s.record = s.record[:at+step]
	}
	return s.record, nil
}

func (s *stream) skip(n int64) error {
	_, err := io.CopyN(io.Discard, s.Reader, n)
	return noEOF(err)
}

func (s *stream) close() { s.free() }

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// xerialMagic starts a stream of snappy blocks as Java frames it: magic,
// two version numbers, then blocks with their lengths in front.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// snappyReader reads what xerial frames, behind its header.
type snappyReader struct {
	in    []byte
	block []byte // what the last block has left to read
	buf   []byte
}

// Read returns bytes of the block that is open, opening the next one at its end.
func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.block) == 0 {
		src, err := s.next()
		if err != nil {
			return 0, err
		}
		if _, err := snappyLen(src); err != nil {
			return 0, err
		}
		if s.buf, err = snappy.Decode(s.buf[:cap(s.buf)], src); err != nil {
			return 0, fmt.Errorf("snappy: %w", err)
		}
		s.block = s.buf
	}
	n := copy(p, s.block)
	s.block = s.block[n:]
	return n, nil
}

// next returns the next compressed block.
func (s *snappyReader) next() ([]byte, error) {
	if len(s.in) == 0 {
		return nil, io.EOF
	}
	if len(s.in) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	n := int64(binary.BigEndian.Uint32(s.in))
	if n > int64(len(s.in)-4) {
		return nil, io.ErrUnexpectedEOF
	}
	src := s.in[4 : 4+n]
	s.in = s.in[4+n:]
	return src, nil
}
