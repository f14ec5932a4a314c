package kafka

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/segmentio/kafka-go/protocol"
)

// maxResponse is more than any broker sends for the limits that Config allows:
// what claims to be longer is not Kafka.
const maxResponse = maxBytesLimit + 64<<20

// exchange is a request whose answer is read here instead of by kafka-go,
// which calls that a raw exchange. Routing, encryption, authentication and the
// request's encoding stay with kafka-go.
//
// The transport may go on reading after its caller has given up: see
// answerBuffer.
type exchange struct {
	clientID    string
	correlation int32
	version     int16
	into        *answerBuffer
}

func (c *Client) exchange(into *answerBuffer) exchange {
	return exchange{clientID: c.cfg.ClientID, correlation: c.correlation.Add(1), into: into}
}

// smallExchange is for answers of a few hundred bytes.
func (c *Client) smallExchange() exchange {
	return c.exchange(&answerBuffer{alloc: memory.NewGoAllocator()})
}

// call sends a request of a version that has no tagged fields and returns its
// answer's body, which lies in the buffer.
func (x *exchange) call(rw io.ReadWriter, req protocol.Message) ([]byte, error) {
	if err := protocol.WriteRequest(rw, x.version, x.correlation, x.clientID, req); err != nil {
		return nil, err
	}
	return x.read(rw)
}

// read returns an answer's body, which lies in the buffer.
func (x *exchange) read(rw io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(size[:])) //nolint:gosec // a signed field
	if n < 4 || n > maxResponse {
		return nil, fmt.Errorf("a response of %d bytes: this is not a Kafka broker", n)
	}
	body, err := x.into.read(rw, int(n))
	if err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != x.correlation { //nolint:gosec // a signed field
		return nil, fmt.Errorf("response %d came for request %d", got, x.correlation)
	}
	return body[4:], nil
}

// wire reads Kafka's fixed-size fields; after a fault it reads zeros.
type wire struct {
	b      []byte
	failed bool
}

func (w *wire) take(n int64) []byte {
	if n < 0 || n > int64(len(w.b)) {
		w.failed = true
		w.b = nil
		return nil
	}
	v := w.b[:n:n]
	w.b = w.b[n:]
	return v
}

func (w *wire) int16() int16 {
	if v := w.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v)) //nolint:gosec // a signed field
	}
	return 0
}

func (w *wire) int32() int32 {
	if v := w.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v)) //nolint:gosec // a signed field
	}
	return 0
}

func (w *wire) int64() int64 {
	if v := w.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v)) //nolint:gosec // a signed field
	}
	return 0
}

func (w *wire) uvarint() int64 {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || v > math.MaxInt32 {
		w.failed = true
		w.b = nil
		return 0
	}
	w.b = w.b[n:]
	return int64(v)
}

// compact reads a string of the newer encoding; empty for null.
func (w *wire) compact() string {
	if n := w.uvarint(); n > 0 {
		return string(w.take(n - 1))
	}
	return ""
}

// tags passes over fields that we do not know.
func (w *wire) tags() {
	for n := w.uvarint(); n > 0 && !w.failed; n-- {
		w.uvarint()
		w.take(w.uvarint())
	}
}
