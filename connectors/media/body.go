package media

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// paceWindow is over how long a body's speed is measured.
	paceWindow = 2 * time.Second
	// maxTrusted is how much memory an announced length gets before the bytes are there.
	maxTrusted = 256 << 10
)

// tooLongError is for a body beyond the limit.
type tooLongError struct{ limit int64 }

func (e *tooLongError) Error() string {
	return fmt.Sprintf("the image has more than %d bytes", e.limit)
}

// tooSlowError is for a body that trickles.
type tooSlowError struct {
	arrived int64
	window  time.Duration
	floor   int64
}

func (e *tooSlowError) Error() string {
	return fmt.Sprintf("only %d bytes came in %v, %d bytes a second are asked for", e.arrived, e.window, e.floor)
}

// readBody reads to the end, limit bytes at most, whatever length was announced (−1: none). Before it gives up on a slow body
// it calls stop, which must make body fail.
func readBody(body io.Reader, announced, limit int64, p pace, stop context.CancelCauseFunc) ([]byte, error) {
	if announced > limit {
		return nil, &tooLongError{limit}
	}
	counted := &counter{r: io.LimitReader(body, limit+1)}
	defer p.watch(&counted.n, stop)()
	var data bytes.Buffer
	data.Grow(int(min(max(announced, 0), maxTrusted)) + bytes.MinRead)
	if _, err := data.ReadFrom(counted); err != nil {
		return nil, err
	}
	if int64(data.Len()) > limit {
		return nil, &tooLongError{limit}
	}
	return data.Bytes(), nil
}

type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// pace is how fast a body must arrive, in each window: floor bytes a second, 0 for as slow as it likes.
type pace struct {
	floor  int64
	window time.Duration
}

// watch calls stop once n grows too slowly. The function that it returns ends the watch.
func (p pace) watch(n *atomic.Int64, stop context.CancelCauseFunc) (end func()) {
	if p.floor == 0 {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(p.window)
		defer ticker.Stop()
		var before int64
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				now := n.Load()
				if arrived := now - before; float64(arrived) < float64(p.floor)*p.window.Seconds() {
					stop(&tooSlowError{arrived, p.window, p.floor})
					return
				}
				before = now
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
