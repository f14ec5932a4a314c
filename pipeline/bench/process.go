package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a child: this program in another role, or a peer.
type process struct {
	cmd   *exec.Cmd
	pid   int
	log   string
	ended chan struct{}
	err   error // once ended
}

// start starts a program with what it says in a file.
func start(log string, env []string, program string, args ...string) (*process, error) {
	out, err := os.Create(log) //nolint:gosec // in our own folder
	if err != nil {
		return nil, err
	}
	defer out.Close()                                                                        //nolint:errcheck // the child has its own
	p := &process{cmd: exec.Command(program, args...), log: log, ended: make(chan struct{})} //nolint:gosec,noctx // a peer or ourselves; ended by stop alone
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = p.cmd.Process.Pid
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

// stop asks the process to end, and ends it when it takes long.
func (p *process) stop(within time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be over
	select {
	case <-p.ended:
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// tail is the end of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-2500):])
}

// tick is the unit of processor time in /proc, the same on every Linux that
// Go runs on.
const tick = 10 * time.Millisecond

// cpu is the processor time that the process has taken.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0
	}
	// The name in brackets may hold anything; 11 fields on is utime, then stime.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if errors.Join(err1, err2) != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}

// peakMB is the most memory that the process has had.
func (p *process) peakMB() float64 {
	var kilobytes float64
	if _, err := fmt.Sscan(fieldOf(p.proc("status"), "VmHWM"), &kilobytes); err != nil {
		return 0
	}
	return kilobytes / 1024
}

func (p *process) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.pid), file)
}

// session is what starters of test servers ask for, outside of a test.
type session struct {
	testing.TB
	dir      string
	cleanups []func()
}

// failure is how a session's Fatal ends the run.
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
