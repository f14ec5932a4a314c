package runtime

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Options are what Open needs to know.
type Options struct {
	// Library is the path of ONNX Runtime's shared library; empty: FindLibrary
	// looks for it.
	Library string
	// Device is auto (the first GPU if there is one, else the CPU), cpu, or
	// cuda:N.
	Device string
	// Log gets one line when auto ends on the CPU; nil drops it.
	Log *slog.Logger
}

// Runtime makes sessions on one device. Its methods may be called from
// several goroutines.
type Runtime struct {
	device Device

	mu       sync.Mutex
	sessions []*Session
	closed   bool
}

// environment is ONNX Runtime's state, of which a process has one: the first
// Runtime loads the library, the last one closed unloads it.
var environment struct {
	sync.Mutex
	users   int
	library string
}

// Open loads ONNX Runtime and chooses the device. The error names what is
// missing: the library, the CUDA provider, the driver.
func Open(o Options) (*Runtime, error) {
	device, auto, err := ParseDevice(o.Device)
	if err != nil {
		return nil, err
	}
	library, err := FindLibrary(o.Library)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var noCUDA error
	if device.IsCUDA() {
		noCUDA = missingForCUDA(library, nvidiaControl)
	}
	if noCUDA != nil && !auto {
		return nil, fmt.Errorf("runtime: device %s cannot be used:\n%w", device, noCUDA)
	}
	if err := enter(library); err != nil {
		return nil, err
	}
	if device.IsCUDA() && noCUDA == nil {
		// The only check that covers the CUDA libraries that the provider needs.
		noCUDA = runProbe(device)
	}
	switch {
	case noCUDA == nil:
	case auto:
		o.Log.Info("inference runs on the CPU", "no_cuda", strings.ReplaceAll(noCUDA.Error(), "\n", "; "))
		device = CPU
	default:
		return nil, errors.Join(fmt.Errorf("runtime: device %s cannot be used:\n%w", device, noCUDA), leave())
	}
	return &Runtime{device: device}, nil
}

// noTelemetry keeps ONNX Runtime to itself when it is set before the library starts. Since 1.29
// the published Linux libraries report to their maker, names and digests of models
// included, unless it is; for that they keep an id in the user's cache folder and run a shell, and
// without a shell they crash.
const noTelemetry = "ORT_DISABLE_TELEMETRY"

func enter(library string) error {
	environment.Lock()
	defer environment.Unlock()
	if environment.users > 0 {
		if library != environment.library {
			return fmt.Errorf("runtime: the ONNX Runtime library %s is in use, %s cannot be loaded beside it", environment.library, library)
		}
		environment.users++
		return nil
	}
	if err := os.Setenv(noTelemetry, "1"); err != nil {
		return fmt.Errorf("runtime: %s: %w", noTelemetry, err)
	}
	ort.SetSharedLibraryPath(library)
	// Below errors, ONNX Runtime writes lines of its own to stderr, about
	// devices it did not find and operators it did not fuse.
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("runtime: %s could not be loaded as ONNX Runtime %s or later: %w", library, Version, err)
	}
	environment.users, environment.library = 1, library
	return nil
}

func leave() error {
	environment.Lock()
	defer environment.Unlock()
	environment.users--
	if environment.users > 0 {
		return nil
	}
	if err := ort.DestroyEnvironment(); err != nil {
		return fmt.Errorf("runtime: unload ONNX Runtime: %w", err)
	}
	return nil
}

// probe is a graph that does nothing: y = x, float32[1] (testdata/graphs.py).
//
//go:embed probe.onnx
var probe []byte

// runProbe runs the probe on a device.
func runProbe(d Device) error {
	r := &Runtime{device: d}
	s, err := r.Session("probe", probe, []string{"x"}, []string{"y"})
	if err != nil {
		return err
	}
	defer func() { _ = r.closeSessions() }()
	x, y := []float32{42}, []float32{0}
	if err := s.Warm([]Tensor{NewTensor(x, 1)}, []Tensor{NewTensor(y, 1)}); err != nil {
		return err
	}
	if y[0] != x[0] {
		return fmt.Errorf("it computes wrongly: a copy of %v came back as %v", x[0], y[0])
	}
	return nil
}

// Device returns where sessions run.
func (r *Runtime) Device() Device { return r.device }

// Session builds a graph for running. graph is an ONNX model without external
// data, and is not kept. name stands in errors. The session lasts until the
// runtime is closed.
func (r *Runtime) Session(name string, graph []byte, inputs, outputs []string) (*Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("runtime: graph %s: %w", name, ErrClosed)
	}
	options, err := r.sessionOptions()
	if err != nil {
		return nil, fmt.Errorf("runtime: options for graph %s: %w", name, err)
	}
	defer func() { _ = options.Destroy() }()
	s := &Session{name: name, cuda: r.device.IsCUDA()}
	err = s.guard(func() error {
		s.ort, err = ort.NewDynamicAdvancedSessionWithONNXData(graph, inputs, outputs, options)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("runtime: graph %s cannot be loaded on %s: %w", name, r.device, err)
	}
	r.sessions = append(r.sessions, s)
	return s, nil
}

// sessionOptions are those that measured best: on a CPU a plan of each shape's
// memory takes 9 MB more for itr-mini and no time less. See doc.go for threads,
// and for what was measured and left alone.
func (r *Runtime) sessionOptions() (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1))
	if r.device.IsCUDA() {
		err = errors.Join(err, appendCUDA(options, r.device.ordinal))
	} else {
		err = errors.Join(err, options.SetMemPattern(false))
	}
	if err != nil {
		_ = options.Destroy()
		return nil, err
	}
	return options, nil
}

func appendCUDA(options *ort.SessionOptions, ordinal int) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer func() { _ = cuda.Destroy() }()
	if err := cuda.Update(map[string]string{"device_id": strconv.Itoa(ordinal)}); err != nil {
		return err
	}
	return keepSignals(func() error { return options.AppendExecutionProviderCUDA(cuda) })
}

// Close ends the sessions, after the runs that are under way, and unloads ONNX
// Runtime with the last runtime. Closing again does nothing.
func (r *Runtime) Close() error {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return nil
	}
	return errors.Join(r.closeSessions(), leave())
}

func (r *Runtime) closeSessions() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.sessions {
		errs = append(errs, s.close())
	}
	r.sessions = nil
	return errors.Join(errs...)
}
