package runtime

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFindLibrary goes down the order in which the library is looked for.
func TestFindLibrary(t *testing.T) {
	asked, named := filepath.Join(t.TempDir(), "asked.so"), filepath.Join(t.TempDir(), "named.so")
	for _, path := range []string{asked, named} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	t.Setenv(LibraryEnv, named)

	found, err := FindLibrary(asked)
	require.NoError(t, err)
	require.Equal(t, asked, found)

	found, err = FindLibrary("")
	require.NoError(t, err)
	require.Equal(t, named, found)

	_, err = FindLibrary(asked + "x")
	require.ErrorContains(t, err, `the configured ONNX Runtime library is "`+asked+`x": there is no such file`)

	t.Setenv(LibraryEnv, filepath.Dir(named))
	_, err = FindLibrary("")
	require.ErrorContains(t, err, LibraryEnv)
	require.ErrorContains(t, err, "no regular file")
}

func TestFindCached(t *testing.T) {
	t.Parallel()
	empty, root := t.TempDir(), t.TempDir()
	_, err := findCached([]string{empty, root})
	require.ErrorContains(t, err, "run model/runtime/fetch-onnxruntime.sh")
	require.ErrorContains(t, err, LibraryEnv)
	require.ErrorContains(t, err, empty)
	require.ErrorContains(t, err, root)

	path := filepath.Join(root, ".cache", "onnxruntime", Version+"-"+goruntime.GOOS+"-"+goruntime.GOARCH, "libonnxruntime.so")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	found, err := findCached([]string{empty, root})
	require.NoError(t, err)
	require.Equal(t, path, found)
}

// TestCheckouts: neither the working folder nor a folder that others may write
// to is ever searched for code to load.
func TestCheckouts(t *testing.T) {
	top, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	roots := checkouts()
	require.Contains(t, roots, top, "the checkout that the test was built from")
	for _, root := range roots {
		require.True(t, filepath.IsAbs(root))
		require.NotEqual(t, here, filepath.Clean(root))
		require.NotEqual(t, filepath.Clean(os.TempDir()), filepath.Clean(root))
	}
}

func TestLibraryOfAnotherKind(t *testing.T) { //nolint:paralleltest // a process has one library at a time
	path := filepath.Join(t.TempDir(), "libonnxruntime.so")
	require.NoError(t, os.WriteFile(path, []byte("not a library"), 0o600))
	_, err := Open(Options{Library: path, Device: "cpu"})
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "could not be loaded as ONNX Runtime "+Version)
}
