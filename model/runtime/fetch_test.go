package runtime

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fetch runs fetch-onnxruntime.sh with a PATH that has the tools it needs and
// these clients, each a shell script.
func fetch(t *testing.T, env []string, clients map[string]string) (cache, stdout, stderr string, err error) {
	t.Helper()
	path := t.TempDir()
	for _, tool := range []string{"sh", "uname", "dirname", "mkdir", "sha256sum", "cut", "mktemp", "rm", "chmod", "mv", "tar"} {
		found, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(found, filepath.Join(path, tool)))
	}
	for name, script := range clients {
		_ = os.Remove(filepath.Join(path, name))
		require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte("#!/bin/sh\n"+script), 0o700))
	}
	cache = filepath.Join(t.TempDir(), "cache")
	cmd := exec.CommandContext(t.Context(), "./fetch-onnxruntime.sh", cache)
	cmd.Env = append([]string{"PATH=" + path}, env...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	err = cmd.Run()
	return cache, out.String(), messages.String(), err
}

const (
	// A wheel that holds something else than the library.
	forgedPip = `case "$*" in *--version*) exit 0;; esac
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/onnxruntime/capi" && echo forged > "$2/onnxruntime/capi/libonnxruntime.so.` + Version + `"`
	offline = `echo "no route to the registry" >&2; exit 3`
)

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env     []string
		clients map[string]string
		want    []string
	}{
		"nothing to fetch with": {
			want: []string{"one of pip, npm and mvn is needed", LibraryEnv},
		},
		"another library than the pinned": {
			clients: map[string]string{"pip": forgedPip, "npm": offline},
			want:    []string{"that pip delivered has SHA-256", "it is not used"},
		},
		"no client gets through": {
			clients: map[string]string{"pip3": `[ "$1" = --version ] || { ` + offline + `; }`, "npm": offline, "mvn": offline},
			want:    []string{"no route to the registry", "tried: pip npm mvn"},
		},
		"the second client is asked": {
			clients: map[string]string{"npm": offline, "mvn": "exit 0"},
			want:    []string{"npm did not deliver it", "what mvn delivered lacks mvn/ai/onnxruntime/native/linux-"},
		},
		"another platform": {
			clients: map[string]string{"uname": `[ "$1" = -s ] && echo Linux || echo riscv64`},
			want:    []string{"no ONNX Runtime is pinned for Linux on riscv64"},
		},
		"a library of the user's that is not there": {
			env:  []string{LibraryEnv + "=/nowhere/libonnxruntime.so"},
			want: []string{LibraryEnv + "=/nowhere/libonnxruntime.so is not a file"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache, stdout, stderr, err := fetch(t, c.env, c.clients)
			require.Error(t, err)
			require.Empty(t, stdout)
			for _, want := range c.want {
				require.Contains(t, stderr, want)
			}
			left, err := filepath.Glob(filepath.Join(cache, "*", "*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestFetchTakesTheUsersLibrary(t *testing.T) {
	t.Parallel()
	library := filepath.Join(t.TempDir(), "libonnxruntime.so")
	require.NoError(t, os.WriteFile(library, nil, 0o600))
	cache, stdout, stderr, err := fetch(t, []string{LibraryEnv + "=" + library}, nil)
	require.NoError(t, err, stderr)
	require.Equal(t, library+"\n", stdout)
	require.NoDirExists(t, cache)
}
