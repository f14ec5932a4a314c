package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// ErrClosed is the error of a session whose runtime was closed.
var ErrClosed = errors.New("the runtime is closed")

// Session is a graph that can be run, by several goroutines at once.
type Session struct {
	name string
	cuda bool

	// mu is held shared by runs and alone by close: a graph must not be freed
	// under a run.
	mu  sync.RWMutex
	ort *ort.DynamicAdvancedSession
}

// guard keeps CUDA, which starts lazily, from taking over signal handlers.
func (s *Session) guard(f func() error) error {
	if s.cuda {
		return keepSignals(f)
	}
	return f()
}

// Warm is the first Run: it makes ONNX Runtime allocate and start what a run
// needs. No other run may be under way.
func (s *Session) Warm(inputs, outputs []Tensor) error {
	return s.guard(func() error { return s.Run(context.Background(), inputs, outputs) })
}

// Run computes outputs from inputs, each in the order of the names that the
// session was made with. Outputs are written to the slices of their tensors,
// whose shapes must be what the graph yields. When ctx ends, the run is broken
// off between two operators and ctx's error returned.
func (s *Session) Run(ctx context.Context, inputs, outputs []Tensor) error {
	if err := s.run(ctx, inputs, outputs); err != nil {
		return fmt.Errorf("runtime: run graph %s: %w", s.name, err)
	}
	return nil
}

func (s *Session) run(ctx context.Context, inputs, outputs []Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ort == nil {
		return ErrClosed
	}
	var held values
	defer held.release()
	in, err := held.wrap(inputs)
	if err != nil {
		return err
	}
	out, err := held.wrap(outputs)
	if err != nil {
		return err
	}
	if ctx.Done() == nil {
		return s.ort.Run(in, out)
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	defer func() { _ = options.Destroy() }()
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		_ = options.Terminate()
	})
	err = s.ort.RunWithOptions(in, out, options)
	if !stop() {
		// The options must outlive the call that terminates.
		<-terminated
		if err != nil {
			return ctx.Err()
		}
	}
	return err
}

func (s *Session) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ort == nil {
		return nil
	}
	err := s.ort.Destroy()
	s.ort = nil
	return err
}
