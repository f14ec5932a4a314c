package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Device is where graphs run.
type Device struct {
	cuda    bool
	ordinal int
}

// CPU is the device that every machine has.
var CPU = Device{}

// CUDA returns the NVIDIA GPU with the given number.
func CUDA(ordinal int) Device { return Device{cuda: true, ordinal: ordinal} }

// IsCUDA reports whether the device is a GPU.
func (d Device) IsCUDA() bool { return d.cuda }

// String returns cpu or cuda:N.
func (d Device) String() string {
	if d.cuda {
		return "cuda:" + strconv.Itoa(d.ordinal)
	}
	return "cpu"
}

// ParseDevice reads auto, cpu or cuda:N. With auto it returns the first GPU
// and true: use it if it is there.
func ParseDevice(s string) (d Device, auto bool, err error) {
	switch s {
	case "auto":
		return CUDA(0), true, nil
	case "cpu":
		return CPU, false, nil
	}
	if n, ok := strings.CutPrefix(s, "cuda:"); ok {
		if ordinal, err := strconv.ParseUint(n, 10, 8); err == nil {
			return CUDA(int(ordinal)), false, nil
		}
	}
	return Device{}, false, fmt.Errorf("runtime: device is %q; allowed are auto, cpu, and cuda:N with N from 0", s)
}

// missingForCUDA names what this machine lacks before ONNX Runtime is even
// asked, whose own words for it are hard to read. library is the path of ONNX
// Runtime's library.
func missingForCUDA(library, driver string) error {
	if resolved, err := filepath.EvalSymlinks(library); err == nil {
		library = resolved
	}
	var missing []error
	for _, name := range []string{"libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"} {
		// ONNX Runtime looks for its providers beside itself and nowhere else.
		if regularFile(filepath.Join(filepath.Dir(library), name)) != nil {
			missing = append(missing, fmt.Errorf("the provider library %s is not beside %s (set %s to the library of an onnxruntime-gpu %s package)",
				name, library, LibraryEnv, Version))
		}
	}
	if _, err := os.Stat(driver); err != nil {
		missing = append(missing, fmt.Errorf("there is no NVIDIA driver: %s does not exist", driver))
	}
	return errors.Join(missing...)
}

// nvidiaControl is the device file that the NVIDIA driver makes.
const nvidiaControl = "/dev/nvidiactl"
