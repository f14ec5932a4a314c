package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy stands between clients and a server, and stalls both when told.
type proxy struct {
	listener net.Listener
	target   atomic.Value // string
	mu       sync.Mutex
	flowing  *sync.Cond
	stalled  bool
	done     sync.WaitGroup
}

func newProxy(ctx context.Context) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l}
	p.flowing = sync.NewCond(&p.mu)
	p.target.Store("")
	p.done.Go(func() { p.serve(ctx) })
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) serve(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.join(ctx, client) })
	}
}

func (p *proxy) join(ctx context.Context, client net.Conn) {
	defer client.Close() //nolint:errcheck // whatever it was, it is over
	d := net.Dialer{Timeout: time.Second}
	server, err := d.DialContext(ctx, "tcp", p.target.Load().(string))
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // likewise
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			p.copy(way[1], way[0])
			_ = client.Close()
			_ = server.Close()
		})
	}
	both.Wait()
}

func (p *proxy) copy(to io.Writer, from io.Reader) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.wait()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled {
		p.flowing.Wait()
	}
}

// stall holds back every byte, or lets them go on.
func (p *proxy) stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.flowing.Broadcast()
}

func (p *proxy) close() {
	p.stall(false)
	_ = p.listener.Close()
}
