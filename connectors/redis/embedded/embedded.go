// Package embedded runs a small Redis inside the process, for the demo, tests
// and first steps. It keeps nothing when it stops.
package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Server is a Redis server on a loopback port of its own.
type Server struct {
	mini *miniredis.Miniredis
	stop func()
	done chan struct{}
}

// tick is how often keys with a life time age: miniredis has no clock.
const tick = 100 * time.Millisecond

// Start starts a server.
func Start() (*Server, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("redis: start the embedded server: %w", err)
	}
	stop := make(chan struct{})
	s := &Server{mini: mini, stop: sync.OnceFunc(func() { close(stop) }), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				mini.FastForward(tick)
			case <-stop:
				return
			}
		}
	}()
	return s, nil
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.mini.Addr() }

// Close stops the server and forgets everything. It may be called twice.
func (s *Server) Close() {
	s.stop()
	<-s.done
	s.mini.Close()
}
