package decode

import (
	"bytes"
	"errors"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/segmentio/asm/base64"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/decode/internal/jsonscan"
)

var (
	errBase64    = errors.New("bad base64")
	errImageSize = errors.New("image over the limit")
)

// strict refuses trailing bits that encode nothing: such text was cut or
// altered.
var strict = base64.StdEncoding.Strict()

// imageColumn grows the column PairImage. Base64 is decoded from the message
// straight into it, so an inline image is written once between the fetch and
// its pixels. Bytes are appended while a message is read, and cut off again
// when it turns out not to be a post.
type imageColumn struct {
	alloc memory.Allocator
	data  *memory.Buffer
	used  int
	// expect is how many bytes the rest of the batch may still bring; it lets
	// the buffer be allocated once.
	expect int

	ends  []int32
	valid []bool
}

func newImageColumn(alloc memory.Allocator) *imageColumn {
	return &imageColumn{alloc: alloc, data: memory.NewResizableBuffer(alloc)}
}

func (c *imageColumn) release() { c.data.Release() }

func (c *imageColumn) len() int { return c.used }

func (c *imageColumn) truncate(length int) { c.used = length }

// decode appends the bytes that encoded stands for, at most limit.
func (c *imageColumn) decode(encoded []byte, limit int) error {
	if len(encoded)%4 != 0 {
		return errBase64
	}
	size := len(encoded) / 4 * 3
	for i := 1; i <= 2 && len(encoded) >= 4 && encoded[len(encoded)-i] == '='; i++ {
		size--
	}
	if size > limit {
		return errImageSize
	}
	room := c.grow(base64.StdEncoding.DecodedLen(len(encoded)))
	// The decoder skips line breaks, which no JSON string may hold; then
	// bytes are missing.
	if n, err := strict.Decode(room, encoded); err != nil || n != size {
		return errBase64
	}
	c.used += size
	return nil
}

// grow returns room for n bytes behind those used.
func (c *imageColumn) grow(n int) []byte {
	if need := c.used + n; need > c.data.Len() {
		c.data.Resize(max(need, c.used+c.expect))
	}
	return c.data.Bytes()[c.used : c.used+n]
}

// append adds a row: the bytes up to end, or null.
func (c *imageColumn) append(img image) {
	c.valid = append(c.valid, img.inline)
	c.ends = append(c.ends, int32(img.end)) //nolint:gosec // less than the values of the batch, which an int32 indexes
}

// array returns the column.
func (c *imageColumn) array() *array.Binary { return schemas.Binary(c.alloc, c.data, c.ends, c.valid) }

// empty consumes a null or an empty string, if one comes next.
func (m *message) empty() bool {
	switch m.scan.Kind() {
	case jsonscan.Null:
		m.scan.Null()
		return true
	case jsonscan.String:
		if s := m.scan.Opaque(); s != nil && len(s) == 0 {
			m.scan.Consume(s)
			return true
		}
	default:
	}
	return false
}

// base64 reads a string of base64 into the image column.
func (m *message) base64(f *fault, where field) bool {
	if !m.is(f, where, jsonscan.String) {
		return false
	}
	at := m.scan.Offset()
	raw := m.scan.Opaque()
	err := m.images.decode(raw, m.cfg.MaxImageBytes)
	if err == nil {
		m.scan.Consume(raw)
		return true
	}
	// Slashes may be escaped, and whatever is wrong may be wrong as JSON too.
	if text := m.scan.Text(); len(text) != len(raw) {
		err = m.images.decode(text, m.cfg.MaxImageBytes)
	}
	m.badImage(f, where, at, err)
	return err == nil
}

// url reads where an image lies. If that is a data URL it reads the image
// itself, provided that it is wanted, and says so.
func (m *message) url(f *fault, where field, wanted bool) (url string, inline bool) {
	if !m.is(f, where, jsonscan.String) {
		return "", false
	}
	at := m.scan.Offset()
	raw := m.scan.Opaque()
	if encoded, ok := dataURL(raw); ok && wanted && m.images.decode(encoded, m.cfg.MaxImageBytes) == nil {
		m.scan.Consume(raw)
		return "", true
	}
	text := m.scan.Text()
	if !isDataURL(text) {
		if len(text) > maxURI {
			f.add(schemas.ReasonTooLarge, "%v: %d bytes, more than %d", where, len(text), maxURI)
			return "", false
		}
		return string(text), false
	}
	if !wanted {
		return "", false
	}
	err := errBase64
	if encoded, ok := dataURL(text); ok {
		err = m.images.decode(encoded, m.cfg.MaxImageBytes)
	}
	m.badImage(f, where, at, err)
	return "", err == nil
}

func (m *message) badImage(f *fault, where field, at int, err error) {
	switch {
	case errors.Is(err, errImageSize):
		f.add(schemas.ReasonTooLarge, "%v: more than %d bytes", where, m.cfg.MaxImageBytes)
	case err != nil:
		f.add(schemas.ReasonMalformed, "%v: bad base64 in the string at byte %d", where, at)
	}
}

const dataScheme = "data:"

func isDataURL(url []byte) bool {
	return len(url) >= len(dataScheme) && bytes.EqualFold(url[:len(dataScheme)], []byte(dataScheme))
}

// dataURL returns the base64 of a data URL. Its media type is not believed,
// but must be printable ASCII without escapes, so that the URL may be read
// from a string that nobody has looked at.
func dataURL(url []byte) ([]byte, bool) {
	const longest = 256
	if !isDataURL(url) {
		return nil, false
	}
	comma := bytes.IndexByte(url[:min(len(url), longest)], ',')
	if comma < 0 || !bytes.HasSuffix(bytes.ToLower(url[:comma]), []byte(";base64")) {
		return nil, false
	}
	for _, c := range url[:comma] {
		if c <= ' ' || c > '~' || c == '\\' {
			return nil, false
		}
	}
	return url[comma+1:], true
}
