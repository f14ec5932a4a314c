// Command mutants plants faults by hand, one at a time, and runs the tests
// that must notice: each line of mutants.yaml is a fault that somebody could
// make, and a fault that no test notices is a missing test. The checkout is
// not touched: faults are overlays of the build. Run it by make mutants.
//
// A fault counts as killed when a test fails by saying so. One that does not
// compile, that panics or that hangs proves nothing and fails the run.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

//go:embed mutants.yaml
var table []byte

// mutant is one fault.
type mutant struct {
	Name string `yaml:"name"`
	// Recovery says that it sits in the recovery protocol.
	Recovery bool   `yaml:"recovery"`
	File     string `yaml:"file"`
	Find     string `yaml:"find"` // once in the file
	Put      string `yaml:"put"`
	// Tests are arguments of go test.
	Tests []string `yaml:"tests"`
}

// within is how long the tests of one mutant may take.
const within = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use:   "mutants",
		Short: "Plant faults one at a time, and see the tests notice",
		Example: `  go run ./pipeline/mutants
  go run ./pipeline/mutants --only '^fold: '`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pattern, err := regexp.Compile(only)
			if err != nil {
				return fmt.Errorf("--only: %w", err)
			}
			return all(cmd.Context(), pattern)
		},
	}
	cmd.Flags().StringVar(&only, "only", "", "names of the faults to plant, a regular `expression`")
	return cmd
}

func all(ctx context.Context, only *regexp.Regexp) error {
	var mutants []mutant
	d := yaml.NewDecoder(bytes.NewReader(table))
	d.KnownFields(true)
	if err := d.Decode(&mutants); err != nil {
		return fmt.Errorf("mutants.yaml: %w", err)
	}
	total, recovery, killed := 0, 0, 0
	for _, m := range mutants {
		if !only.MatchString(m.Name) {
			continue
		}
		total++
		if m.Recovery {
			recovery++
		}
		began := time.Now()
		by, err := m.plant(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			fmt.Printf("ALIVE   %-60s %v\n", m.Name, err)
		default:
			killed++
			fmt.Printf("killed  %-60s %s (%.0f s)\n", m.Name, by, time.Since(began).Seconds())
		}
	}
	fmt.Printf("%d of %d faults killed, %d of them in the recovery protocol\n", killed, total, recovery)
	if killed < total {
		return errors.New("a fault that no test notices is a missing test")
	}
	return nil
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// plant runs the tests with the fault in place, and tells which one failed.
func (m *mutant) plant(ctx context.Context) (by string, err error) {
	dir, err := os.MkdirTemp("", "itrstream-mutant-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	overlay, err := m.overlay(dir)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, within+time.Minute)
	defer cancel()
	args := append([]string{"test", "-overlay", overlay, "-count=1", "-failfast", "-timeout", within.String()}, m.Tests...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // our own table
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return "", errors.New("no test notices")
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return "", fmt.Errorf("it does not compile: %s", tail(out))
	case bytes.Contains(out, []byte("panic: ")):
		return "", fmt.Errorf("it panics, or hangs: %s", tail(out))
	}
	test := failed.FindSubmatch(out)
	if test == nil {
		return "", fmt.Errorf("no test says that it failed: %w: %s", err, tail(out))
	}
	return string(test[1]), nil
}

// overlay writes the changed file and what tells go about it.
func (m *mutant) overlay(dir string) (string, error) {
	path, err := filepath.Abs(filepath.FromSlash(m.File))
	if err != nil {
		return "", err
	}
	code, err := os.ReadFile(path) //nolint:gosec // our own table
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(code), m.Find); n != 1 {
		return "", fmt.Errorf("%s has %d places like %q: change mutants.yaml", m.File, n, m.Find)
	}
	changed := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(code), m.Find, m.Put, 1)), 0o600); err != nil { //nolint:gosec // in a temporary folder
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, replace, 0o600)
}

func tail(out []byte) string {
	return strings.TrimSpace(string(out[max(0, len(out)-600):]))
}
