package checks

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files and values.schema.json")

// root is the repository's, chart the chart's folder.
const (
	root  = "../.."
	chart = "../itrstream"
	// kube is the Kubernetes that templates are rendered for.
	kube = "1.34.0"
)

// tool returns the path of a program that make chart has installed and named
// by a variable.
func tool(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	require.NotEmpty(t, path, "%s is not set: run make chart, which installs what these tests need", variable)
	require.FileExists(t, path)
	return path
}

// run returns what a program writes, and its error.
func run(t *testing.T, dir, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// render returns the objects that the chart makes of value files.
func render(t *testing.T, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"template", "itrstream", chart, "--namespace", "streaming", "--kube-version", kube}, args...)
	stdout, stderr, err := run(t, ".", tool(t, "HELM"), args...)
	if err != nil {
		return stderr, err
	}
	return stdout, nil
}

// examples are the value files of charts/examples, by name.
func examples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../examples/*.yaml")
	require.NoError(t, err)
	byName := map[string]string{}
	for _, file := range files {
		byName[strings.TrimSuffix(filepath.Base(file), ".yaml")] = file
	}
	require.Len(t, byName, 3)
	return byName
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	require.Equal(t, read(t, path), got, "make chart-golden rewrites %s; look at what changed", path)
}
