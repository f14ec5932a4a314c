package model

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/runtime"
)

// gated is a graph that waits before each run, and notes its rows.
type gated struct {
	graph
	gate chan error // what it fails with, or nil

	mu   sync.Mutex
	rows []int
}

// Run implements graph.
func (g *gated) Run(ctx context.Context, inputs, outputs []runtime.Tensor) error {
	g.mu.Lock()
	pixels := inputs[0].Data().([]uint8)
	g.rows = append(g.rows, len(pixels)/144)
	g.mu.Unlock()
	if err := <-g.gate; err != nil {
		return err
	}
	return g.graph.Run(ctx, inputs, outputs)
}

// waiting waits until so many images wait and so many runs have begun.
func (g *gated) waiting(t *testing.T, m *Model, images, runs int) {
	t.Helper()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		m.views.mu.Lock()
		defer m.views.mu.Unlock()
		return len(m.views.waiting) == images && len(g.rows) == runs
	}, testPatience, testTick)
}

func newGated(t *testing.T, threads int) (*Model, *gated) {
	t.Helper()
	m, err := Open(tinyBundle, Options{Device: "cpu", Threads: threads})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	g := &gated{graph: m.image, gate: make(chan error)}
	m.image = g
	return m, g
}

// see starts a See; its error comes.
func see(ctx context.Context, m *Model, pixels []uint8, vector []float32) <-chan error {
	done := make(chan error, 1)
	go func() { done <- m.See(ctx, pixels, vector) }()
	return done
}

// TestImagesShareRuns: a run takes what waits when its turn comes, at most a
// chunk, and gives each image the very vector that it gets alone.
func TestImagesShareRuns(t *testing.T) {
	t.Parallel()
	m, g := newGated(t, 1)
	posts := randomPosts(m, 8, 3)
	got := make([][]float32, 8)
	var done []<-chan error
	for i, image := range posts.images {
		got[i] = make([]float32, m.ImageWidth())
		done = append(done, see(t.Context(), m, image, got[i]))
		g.waiting(t, m, i, 1)
	}
	for range 3 {
		g.gate <- nil
	}
	for _, d := range done {
		require.NoError(t, <-d)
	}
	require.Equal(t, []int{1, 4, 3}, g.rows)
	require.Equal(t, (1+1)*4, m.ImagesAtOnce())
	plain := openBundle(t, tinyBundle)
	for i, image := range posts.images {
		alone := make([]float32, m.ImageWidth())
		require.NoError(t, plain.See(t.Context(), image, alone))
		require.Equal(t, alone, got[i], "image %d", i)
	}
	require.Eventually(t, func() bool {
		m.views.mu.Lock()
		defer m.views.mu.Unlock()
		return m.views.looking == 0
	}, testPatience, testTick)
}

// TestSeeIsCancelled: an image that waits is taken back; one in a run is
// waited for, for the run uses its memory.
func TestSeeIsCancelled(t *testing.T) {
	t.Parallel()
	m, g := newGated(t, 1)
	images := randomPosts(m, 3, 1).images
	vectors := [3][]float32{make([]float32, m.ImageWidth()), make([]float32, m.ImageWidth()), make([]float32, m.ImageWidth())}
	ctx, cancel := context.WithCancel(t.Context())
	running := see(ctx, m, images[0], vectors[0])
	g.waiting(t, m, 0, 1)
	gone := see(ctx, m, images[1], vectors[1])
	g.waiting(t, m, 1, 1)
	stays := see(t.Context(), m, images[2], vectors[2])
	g.waiting(t, m, 2, 1)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	select {
	case err := <-running:
		t.Fatal("it returned under its run: ", err)
	default:
	}
	g.gate <- nil
	require.NoError(t, <-running)
	g.gate <- nil
	require.NoError(t, <-stays)
	require.Equal(t, []int{1, 1}, g.rows)
}

// TestAFailedRunFailsItsImages, and no others.
func TestAFailedRunFailsItsImages(t *testing.T) {
	t.Parallel()
	m, g := newGated(t, 1)
	images := randomPosts(m, 3, 1).images
	broken := errors.New("broken")
	var done []<-chan error
	for i, image := range images {
		done = append(done, see(t.Context(), m, image, make([]float32, m.ImageWidth())))
		g.waiting(t, m, i, 1)
	}
	g.gate <- broken
	require.ErrorIs(t, <-done[0], broken)
	g.gate <- nil
	require.NoError(t, <-done[1])
	require.NoError(t, <-done[2])
}
