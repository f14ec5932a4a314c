package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/stages"
)

// processVariable turns this test program into one worker: see TestMain.
const processVariable = "ITRSTREAM_E2E_WORKER"

// orders are what a worker of its own process is to do.
type orders struct {
	Settings []string // of its configuration
	// At the Nth time it reaches Point it makes the file Hit and gets Signal.
	Point  stages.CrashPoint
	Nth    int64
	Signal syscall.Signal
	Hit    string
}

// process is a worker that can be killed and stopped.
type process struct {
	cmd *exec.Cmd
	hit string
}

// startProcess starts a worker that signals itself at a crash point.
func startProcess(t *testing.T, settings []string, point stages.CrashPoint, nth int64, s syscall.Signal) *process {
	t.Helper()
	p := &process{hit: filepath.Join(t.TempDir(), "hit")}
	text, err := json.Marshal(orders{Settings: settings, Point: point, Nth: nth, Signal: s, Hit: p.hit})
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), self)
	p.cmd.Env = append(os.Environ(), processVariable+"="+string(text))
	p.cmd.Stderr = t.Output()
	_, err = p.cmd.StdinPipe() // closed with this process
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill() // it may have ended by itself
			_ = p.cmd.Wait()
		}
	})
	return p
}

// reached waits until the worker is at its crash point.
func (p *process) reached(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(p.hit)
		return err == nil
	}, patience, 20*time.Millisecond, "the worker's crash point")
}

// wake lets a stopped worker go on.
func (p *process) wake(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// end stops the worker as Ctrl-C does.
func (p *process) end(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait())
}

// work is what the other process does.
func work(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	cfg, err := config.Load("", nil, o.Settings)
	if err != nil {
		return err
	}
	go func() { // it does not outlive the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		panic("the test is over")
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var times atomic.Int64
	ctx = stages.WithCrashes(ctx, func(p stages.CrashPoint) {
		if p != o.Point || times.Add(1) != o.Nth {
			return
		}
		if err := os.WriteFile(o.Hit, nil, 0o600); err != nil {
			panic(err)
		}
		if err := syscall.Kill(os.Getpid(), o.Signal); err != nil {
			panic(err)
		}
		// The signal comes a moment later: nothing may be done before.
		time.Sleep(200 * time.Millisecond)
	})
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := pipeline.Run(ctx, cfg, pipeline.Settings{Log: log, Now: time.Now, Alloc: memory.DefaultAllocator}); err != nil {
		return fmt.Errorf("the worker in a process of its own: %w", err)
	}
	return nil
}
