package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is a child: this program in another role.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // once ended
}

// start starts this program again, with its output in a file.
func start(log string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // in our own folder
	if err != nil {
		return nil, err
	}
	defer out.Close()                                                                     //nolint:errcheck // the child has its own
	p := &process{cmd: exec.Command(self, args...), log: log, ended: make(chan struct{})} //nolint:gosec,noctx // ourselves; ended by kill alone
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may be over

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop asks the process to end, and reports how it did.
func (p *process) stop(within time.Duration) error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		early := ok && status.Signaled() && status.Signal() == syscall.SIGTERM // it had not begun to listen
		if p.err != nil && !early {
			return fmt.Errorf("a process that was asked to end: %w%s", p.err, p.tail())
		}
		return nil
	case <-time.After(within):
		return fmt.Errorf("a process does not end within %s%s", within, p.tail())
	}
}

// tail is the end of the log.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; %s ends:\n%s", p.log, b[max(0, len(b)-1500):])
}

// session is what starters of test servers ask for, outside of a test.
type session struct {
	testing.TB
	dir      string
	cleanups []func()
}

// failure is how a session's Fatal ends a run.
type failure struct{ error }

// Helper does nothing.
func (*session) Helper() {}

// Fatal ends the run.
func (*session) Fatal(args ...any) { panic(failure{errors.New(fmt.Sprint(args...))}) }

// Fatalf ends the run.
func (*session) Fatalf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)}) //nolint:err113 // a test's words
}

// TempDir makes a folder in the run's.
func (s *session) TempDir() string {
	dir, err := os.MkdirTemp(s.dir, "server-")
	if err != nil {
		s.Fatal(err)
	}
	return dir
}

// Cleanup remembers f for the end.
func (s *session) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *session) end() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}

// cut takes a share of the newest append-only file's end away.
func cut(dir string, share float64) error {
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no append-only file in %s: %w", dir, err)
	}
	info, err := os.Stat(files[len(files)-1])
	if err != nil {
		return err
	}
	return os.Truncate(files[len(files)-1], info.Size()-int64(share*float64(info.Size())))
}
