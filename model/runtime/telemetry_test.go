package runtime

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNothingIsReported starts ONNX Runtime in a process of its own, with a
// home where nothing is and no shell, and looks for what its telemetry leaves there. The
// variables by which it would keep quiet anyway are taken away.
func TestNothingIsReported(t *testing.T) {
	t.Parallel()
	const inside = "ITRSTREAM_TEST_REPORTS"
	if os.Getenv(inside) != "" {
		r, err := Open(Options{Device: "cpu"})
		require.NoError(t, err)
		require.NoError(t, r.Close())
		return
	}
	library, err := FindLibrary("")
	require.NoError(t, err)
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingIsReported$")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "ORT_") || strings.HasPrefix(name, "XDG_") || strings.Contains(name, "CI") || strings.HasSuffix(name, "BUILD_ID")
	})
	cmd.Env = append(cmd.Env, inside+"=1", "HOME="+home, "PATH=", LibraryEnv+"="+library)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		require.True(t, d.IsDir(), "ONNX Runtime left %s", path)
		return nil
	}))
}
