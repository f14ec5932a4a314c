package runtime

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseDevice(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		device Device
		auto   bool
	}{
		"auto":    {CUDA(0), true},
		"cpu":     {CPU, false},
		"cuda:0":  {CUDA(0), false},
		"cuda:11": {CUDA(11), false},
	} {
		device, auto, err := ParseDevice(in)
		require.NoError(t, err, in)
		require.Equal(t, want.device, device, in)
		require.Equal(t, want.auto, auto, in)
		if !auto {
			require.Equal(t, in, device.String())
		}
	}
	for _, in := range []string{"", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:1x", "cuda:256", "CPU"} {
		_, _, err := ParseDevice(in)
		require.ErrorContains(t, err, "allowed are auto, cpu, and cuda:N", in)
	}
}

func TestMissingForCUDA(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	library, driver := filepath.Join(dir, "libonnxruntime.so"), filepath.Join(dir, "nvidiactl")
	touch := func(name string) { require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600)) }
	touch("libonnxruntime.so")

	err := missingForCUDA(library, driver)
	require.ErrorContains(t, err, "libonnxruntime_providers_shared.so is not beside")
	require.ErrorContains(t, err, "libonnxruntime_providers_cuda.so is not beside")
	require.ErrorContains(t, err, driver+" does not exist")

	touch("libonnxruntime_providers_shared.so")
	touch("libonnxruntime_providers_cuda.so")
	err = missingForCUDA(library, driver)
	require.ErrorContains(t, err, "no NVIDIA driver")
	require.NotContains(t, err.Error(), "provider")

	touch("nvidiactl")
	require.NoError(t, missingForCUDA(library, driver))

	link := filepath.Join(t.TempDir(), "libonnxruntime.so")
	require.NoError(t, os.Symlink(library, link))
	require.NoError(t, missingForCUDA(link, driver), "providers stand beside the file that the link leads to")
}

// cpuOnly copies the library to a folder where no provider is beside it, so
// that the tests below hold on machines with CUDA too.
func cpuOnly(t *testing.T) string {
	t.Helper()
	found, err := FindLibrary("")
	require.NoError(t, err)
	from, err := os.Open(found)
	require.NoError(t, err)
	defer from.Close()
	to, err := os.Create(filepath.Join(t.TempDir(), "libonnxruntime.so"))
	require.NoError(t, err)
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	return to.Name()
}

// These two load a library of their own, and a process has one at a time, so
// they do not run beside other tests.
func TestAutoFallsBackToCPU(t *testing.T) { //nolint:paralleltest // see above
	var log bytes.Buffer
	r, err := Open(Options{Library: cpuOnly(t), Device: "auto", Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.Equal(t, CPU, r.Device())
	require.NoError(t, r.Close())
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "inference runs on the CPU")
	require.Contains(t, log.String(), "libonnxruntime_providers_cuda.so")
}

func TestNamedGPUIsNeeded(t *testing.T) { //nolint:paralleltest // see above
	_, err := Open(Options{Library: cpuOnly(t), Device: "cuda:1"})
	require.ErrorContains(t, err, "device cuda:1 cannot be used")
	require.ErrorContains(t, err, "libonnxruntime_providers_cuda.so")
	require.Zero(t, environment.users)
}
