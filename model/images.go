package model

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/itrstream/itrstream/model/runtime"
)

// See writes what the image tower makes of one image into vector: ImageWidth
// values, for height·width·3 bytes of pixels, RGB, rows from the top. They depend on
// the pixels alone. Concurrent calls share graph runs; each run takes what waits
// when its turn comes. When See returns, nothing reads pixels or writes to
// vector any more.
func (m *Model) See(ctx context.Context, pixels []uint8, vector []float32) error {
	if err := m.checkPixels(pixels); err != nil {
		return err
	}
	if len(vector) != m.ImageWidth() {
		return fmt.Errorf("model: room for %d values, the bundle's image tower gives %d", len(vector), m.ImageWidth())
	}
	w := &view{ticket: m.slots.ticket(), pixels: pixels, vector: vector, seen: make(chan error, 1)}
	if m.views.add(w, m.workers) {
		go m.look(context.WithoutCancel(ctx)) // for others, too
	}
	select {
	case err := <-w.seen:
		return err
	case <-ctx.Done():
		if m.views.drop(w) {
			return ctx.Err()
		}
		return <-w.seen
	}
}

// ImageWidth returns how many values See makes of an image.
func (m *Model) ImageWidth() int { return m.manifest.Image.Width }

// ImagesAtOnce returns how many calls of See keep every core, or the device,
// busy: those of the runs under way and of the next one.
func (m *Model) ImagesAtOnce() int { return (m.workers + 1) * m.imageChunk }

func (m *Model) checkPixels(pixels []uint8) error {
	if len(pixels) != m.pixelBytes() {
		return fmt.Errorf("model: an image of %d bytes, the bundle takes %d×%d×3 = %d", len(pixels), m.Height(), m.Width(), m.pixelBytes())
	}
	return nil
}

// view is one call of See.
type view struct {
	ticket uint64
	pixels []uint8
	vector []float32
	seen   chan error
}

// views are the images that no run has taken yet, oldest first.
type views struct {
	mu      sync.Mutex
	waiting []*view
	looking int // goroutines that take them
}

// add puts a view behind the others. It reports whether there may be one more
// goroutine that takes them.
func (v *views) add(w *view, most int) (more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = append(v.waiting, w)
	more = v.looking < most
	if more {
		v.looking++
	}
	return more
}

// drop removes a view; false: a run has taken it.
func (v *views) drop(w *view) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	at := slices.Index(v.waiting, w)
	if at < 0 {
		return false
	}
	v.waiting = slices.Delete(v.waiting, at, at+1)
	return true
}

// oldest returns the ticket of the first view. When there is none, the
// goroutine that asks must end.
func (v *views) oldest() (ticket uint64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.waiting) == 0 {
		v.looking--
		return 0, false
	}
	return v.waiting[0].ticket, true
}

// take moves up to n views into run.
func (v *views) take(run []*view, n int) []*view {
	v.mu.Lock()
	defer v.mu.Unlock()
	n = min(n, len(v.waiting))
	run = append(run, v.waiting[:n]...)
	v.waiting = slices.Delete(v.waiting, 0, n)
	return run
}

// look runs the image tower until no image waits.
func (m *Model) look(ctx context.Context) {
	var run []*view
	var joined joinedViews
	for {
		ticket, ok := m.views.oldest()
		if !ok {
			return
		}
		err := m.slots.take(ctx, ticket)
		run = m.views.take(run[:0], m.imageChunk)
		if err == nil {
			if len(run) > 0 {
				err = m.runImages(ctx, run, &joined)
			}
			m.slots.give()
		}
		for _, w := range run {
			w.seen <- err
		}
		clear(run)
	}
}

// joinedViews is the memory of runs of more than one image.
type joinedViews struct {
	pixels  []uint8
	vectors []float32
}

// runImages runs the image tower on at most m.imageChunk images.
func (m *Model) runImages(ctx context.Context, run []*view, joined *joinedViews) error {
	pixels, vectors := run[0].pixels, run[0].vector
	if len(run) > 1 {
		joined.pixels = joined.pixels[:0]
		for _, w := range run {
			joined.pixels = append(joined.pixels, w.pixels...)
		}
		joined.vectors = sized(joined.vectors, len(run)*m.ImageWidth())
		pixels, vectors = joined.pixels, joined.vectors
	}
	if err := m.image.Run(ctx,
		[]runtime.Tensor{m.pixelTensor(pixels, len(run))},
		[]runtime.Tensor{runtime.NewTensor(vectors, int64(len(run)), int64(m.ImageWidth()))},
	); err != nil {
		return err
	}
	if err := checkFinite(m.manifest.Image.Graph, "image", vectors); err != nil {
		return err
	}
	if len(run) > 1 {
		for i, w := range run {
			copy(w.vector, nth(vectors, i, m.ImageWidth()))
		}
	}
	return nil
}
