package runtime

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T) *Runtime {
	t.Helper()
	r, err := Open(Options{Device: "cpu"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// spin returns a session that computes y = x + n in time linear in n.
func spin(t *testing.T, r *Runtime) *Session {
	t.Helper()
	graph, err := os.ReadFile("testdata/spin.onnx")
	require.NoError(t, err)
	s, err := r.Session("spin.onnx", graph, []string{"x", "n"}, []string{"y"})
	require.NoError(t, err)
	return s
}

// run computes x + n.
func run(ctx context.Context, s *Session, x []float32, n int64) ([]float32, error) {
	y := make([]float32, len(x))
	err := s.Run(ctx, []Tensor{NewTensor(x, 2), NewTensor([]int64{n}, 1)}, []Tensor{NewTensor(y, 2)})
	return y, err
}

func TestRun(t *testing.T) {
	t.Parallel()
	s := spin(t, open(t))
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		y, err := run(ctx, s, []float32{1.5, -2}, 3)
		require.NoError(t, err)
		require.Equal(t, []float32{4.5, 1}, y)
	}
}

// TestRunsAtOnce: one session, many goroutines, each its own numbers.
func TestRunsAtOnce(t *testing.T) {
	t.Parallel()
	s := spin(t, open(t))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range int64(50) {
				y, err := run(t.Context(), s, []float32{float32(i), 0}, n)
				if err != nil || y[0] != float32(i)+float32(n) || y[1] != float32(n) {
					t.Errorf("%d + %d is %v, %v", i, n, y, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestRunIsBrokenOff: a run that would last for hours ends with its context.
func TestRunIsBrokenOff(t *testing.T) {
	t.Parallel()
	s := spin(t, open(t))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := run(ctx, s, []float32{0, 0}, 1<<40)
	require.ErrorIs(t, err, context.Canceled)
	_, err = run(ctx, s, []float32{0, 0}, 1)
	require.ErrorIs(t, err, context.Canceled)
	y, err := run(t.Context(), s, []float32{0, 0}, 1)
	require.NoError(t, err, "the session is of use afterwards")
	require.Equal(t, []float32{1, 1}, y)
}

func TestWrongTensors(t *testing.T) {
	t.Parallel()
	s := spin(t, open(t))
	x, n, y := NewTensor([]float32{1, 2}, 2), NewTensor([]int64{1}, 1), NewTensor(make([]float32, 2), 2)
	for name, c := range map[string]struct {
		in, out []Tensor
		want    string
	}{
		"shape and data differ": {[]Tensor{NewTensor([]float32{1, 2, 3}, 2), n}, []Tensor{y}, "shape [2] cannot hold 3 elements"},
		"empty":                 {[]Tensor{NewTensor([]float32{}, 0), n}, []Tensor{y}, "shape [0] is empty"},
		"negative":              {[]Tensor{NewTensor([]float32{1}, -1, -1), n}, []Tensor{y}, "is empty"},
		"no shape":              {[]Tensor{NewTensor([]float32{1}), n}, []Tensor{y}, "cannot hold 1 elements"},
		"another width":         {[]Tensor{NewTensor([]float32{1, 2, 3}, 3), n}, []Tensor{y}, "x"},
		"another type":          {[]Tensor{NewTensor([]int64{1, 2}, 2), n}, []Tensor{y}, "tensor(int64)"},
		"output of other width": {[]Tensor{x, n}, []Tensor{NewTensor(make([]float32, 3), 3)}, "spin.onnx"},
		"too few":               {[]Tensor{x}, []Tensor{y}, "2 input names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.Run(t.Context(), c.in, c.out)
			require.ErrorContains(t, err, "run graph spin.onnx")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestSessionOfNoGraph(t *testing.T) {
	t.Parallel()
	r := open(t)
	for name, graph := range map[string][]byte{"empty.onnx": nil, "noise.onnx": []byte("no graph at all")} {
		_, err := r.Session(name, graph, []string{"x"}, []string{"y"})
		require.ErrorContains(t, err, "graph "+name+" cannot be loaded on cpu")
	}
	s, err := r.Session("probe", probe, []string{"x"}, []string{"z"})
	require.NoError(t, err, "names are looked up by the first run")
	err = s.Warm([]Tensor{NewTensor([]float32{1}, 1)}, []Tensor{NewTensor([]float32{0}, 1)})
	require.ErrorContains(t, err, "z")
}

// TestClose: the library stays as long as one runtime uses it, a run that is
// under way is waited for, and later ones fail.
func TestClose(t *testing.T) {
	t.Parallel()
	kept := open(t)
	r, err := Open(Options{Device: "cpu"})
	require.NoError(t, err)
	s := spin(t, r)
	ended := make(chan error)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := run(context.Background(), s, []float32{0, 0}, 200_000)
		ended <- err
	}()
	<-started
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	if err := <-ended; err != nil {
		require.ErrorIs(t, err, ErrClosed)
	}
	_, err = run(t.Context(), s, []float32{0, 0}, 1)
	require.ErrorIs(t, err, ErrClosed)
	_, err = r.Session("probe", probe, []string{"x"}, []string{"y"})
	require.ErrorIs(t, err, ErrClosed)
	_, err = run(t.Context(), spin(t, kept), []float32{0, 0}, 1)
	require.NoError(t, err)
}

// TestOneLibraryAProcess: a second library is refused while the first is used,
// and loads once it is not.
func TestOneLibraryAProcess(t *testing.T) { //nolint:paralleltest // a process has one library at a time
	first, err := Open(Options{Device: "cpu"})
	require.NoError(t, err)
	other := cpuOnly(t)
	_, err = Open(Options{Library: other, Device: "cpu"})
	require.ErrorContains(t, err, "cannot be loaded beside it")
	require.NoError(t, first.Close())
	for range 3 {
		second, err := Open(Options{Library: other, Device: "cpu"})
		require.NoError(t, err)
		y, err := run(t.Context(), spin(t, second), []float32{1, 2}, 1)
		require.NoError(t, err)
		require.Equal(t, []float32{2, 3}, y)
		require.NoError(t, second.Close())
	}
}

// TestProbe runs what checks a GPU on the device that every machine has.
func TestProbe(t *testing.T) {
	t.Parallel()
	open(t) // loads the library
	require.NoError(t, runProbe(CPU))
}
