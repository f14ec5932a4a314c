package redrive_test

import (
	"encoding/binary"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lossy is a listener that drops the connection of one request: before the
// broker sees it, or when it answers.
type lossy struct {
	net.Listener
	key    atomic.Int32 // of the request
	left   atomic.Int32 // until it comes
	unseen atomic.Bool
}

// drop chooses the nth request of a kind.
func (l *lossy) drop(key kmsg.Key, nth int32, unseen bool) {
	l.unseen.Store(unseen)
	l.left.Store(nth)
	l.key.Store(int32(key.Int16()))
}

func (l *lossy) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, l: l}, nil
}

type lossyConn struct {
	net.Conn
	l      *lossy
	body   bool // a request's length was read, its key is next
	doomed atomic.Bool
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case n == 4 && !c.body:
		c.body = true
	case c.body && n >= 2:
		c.body = false
		if int32(binary.BigEndian.Uint16(p)) == c.l.key.Load() && c.l.left.Add(-1) == 0 {
			if c.l.unseen.Load() {
				_ = c.Close()
				return 0, net.ErrClosed
			}
			c.doomed.Store(true)
		}
	}
	return n, err
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if c.doomed.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}
