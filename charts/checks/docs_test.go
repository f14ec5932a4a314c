package checks

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestChartReadmeIsCurrent: helm-docs makes it of values.yaml, and every value
// has a meaning.
func TestChartReadmeIsCurrent(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := run(t, ".", tool(t, "HELM_DOCS"), "--chart-search-root", chart, "--dry-run", "--log-level", "error")
	require.NoError(t, err, stderr)
	rows := 0
	for line := range strings.Lines(stdout) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "`") && len(cells) >= 3 {
			rows++
			require.NotEmpty(t, strings.TrimSpace(cells[len(cells)-1]), "%s has no meaning: give it a comment that begins with --", cells[0])
			require.NotRegexp(t, `\|\s*$`, line, "%s has no meaning: give it a comment that begins with --", cells[0])
		}
	}
	require.Greater(t, rows, 50)
	golden(t, filepath.Join(chart, "README.md"), stdout)
}

// commands are the lines of the shell blocks of a section, those broken by a
// backslash joined.
func commands(t *testing.T, file, section string) []string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, file), "\n## "+section+"\n")
	require.True(t, found, "%s has no section %s", file, section)
	rest, _, _ = strings.Cut(rest, "\n## ")
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(rest, -1) {
		joined := strings.ReplaceAll(block[1], "\\\n", " ")
		for line := range strings.Lines(joined) {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	require.NotEmpty(t, lines)
	return lines
}

// TestReadmeDeploys runs the README's commands as far as they go without a
// cluster and an engine: helm install renders, docker compose loads, docker build has its Dockerfile.
func TestReadmeDeploys(t *testing.T) {
	t.Parallel()
	helm, compose, built := false, false, false
	for _, line := range commands(t, filepath.Join(root, "README.md"), "Deploy") {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "helm install "):
			helm = true
			shell := strings.Replace(line, "helm install ", tool(t, "HELM")+" template --kube-version "+kube+" ", 1)
			stdout, stderr, err := run(t, root, "/bin/sh", "-c", shell)
			require.NoError(t, err, "%s\n%s", line, stderr)
			require.Contains(t, stdout, "kind: Deployment")
		case strings.HasPrefix(line, "docker compose -f "):
			compose = true
			require.NotEmpty(t, project(t, filepath.Join(root, words[3])).Services)
		case strings.HasPrefix(line, "docker build -f "):
			built = true
			require.Contains(t, dockerfiles, "../"+strings.TrimPrefix(words[3], "charts/"))
		default:
			require.Fail(t, "no test knows how to try this command", line)
		}
	}
	require.True(t, helm && compose && built)
}
