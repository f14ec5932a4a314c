package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
)

// Version is the ONNX Runtime that fetch-onnxruntime.sh pins. Later ones of
// the same major version work too.
const Version = "1.29.0"

// LibraryEnv names the environment variable that points to an ONNX Runtime
// library, one built with CUDA for example.
const LibraryEnv = "ITRSTREAM_ONNXRUNTIME"

// FindLibrary returns the path of ONNX Runtime's shared library: what was
// asked for, else what LibraryEnv names, else what fetch-onnxruntime.sh put
// into .cache/onnxruntime beside the executable, one folder above it, or in
// the checkout that the executable was built from. The working folder is never
// searched: code must not be loaded from wherever the process was started.
func FindLibrary(asked string) (string, error) {
	for _, named := range []struct{ by, path string }{
		{"the configured ONNX Runtime library", asked},
		{LibraryEnv, os.Getenv(LibraryEnv)},
	} {
		if named.path == "" {
			continue
		}
		if err := regularFile(named.path); err != nil {
			return "", fmt.Errorf("runtime: %s is %q: %w", named.by, named.path, err)
		}
		return named.path, nil
	}
	return findCached(checkouts())
}

// findCached looks for what fetch-onnxruntime.sh leaves below these folders.
func findCached(roots []string) (string, error) {
	var looked []error
	for _, root := range roots {
		path := filepath.Join(root, ".cache", "onnxruntime", Version+"-"+goruntime.GOOS+"-"+goruntime.GOARCH, "libonnxruntime.so")
		err := regularFile(path)
		if err == nil {
			return path, nil
		}
		looked = append(looked, fmt.Errorf("%s: %w", path, err))
	}
	return "", fmt.Errorf("runtime: no ONNX Runtime library found; run model/runtime/fetch-onnxruntime.sh (make run does), or set %s to a libonnxruntime.so of version %s. Looked at:\n%w",
		LibraryEnv, Version, errors.Join(looked...))
}

// checkouts lists the folders that may hold the cache, the likeliest first.
func checkouts() []string {
	var roots []string
	if exe, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(exe); err == nil {
			exe = resolved
		}
		dir := filepath.Dir(exe)
		roots = append(roots, filepath.Dir(dir), dir)
	}
	// A trimmed build has no absolute path here, and then no checkout.
	if _, file, _, ok := goruntime.Caller(0); ok && filepath.IsAbs(file) {
		roots = append(roots, filepath.Join(filepath.Dir(file), "..", ".."))
	}
	return roots
}

func regularFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case err != nil:
		return fmt.Errorf("it cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return errors.New("that is no regular file")
	}
	return nil
}
