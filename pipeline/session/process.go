package session

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a child: the program itself in another role, or a peer. It does
// not outlive its parent.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // once ended
}

// Start starts a program, with more variables than ours, and what it says at
// the end of a file.
func Start(log string, env []string, program string, args ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // in our own folder
	if err != nil {
		return nil, err
	}
	defer out.Close()                                                                        //nolint:errcheck // the child has its own
	p := &Process{cmd: exec.Command(program, args...), log: log, ended: make(chan struct{})} //nolint:gosec,noctx // ended by Stop and Kill alone
	p.cmd.Env = append(os.Environ(), env...)
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

// StartAgain starts this program again.
func StartAgain(log string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return Start(log, nil, self, args...)
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Over reports whether it has ended.
func (p *Process) Over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Err is how it ended, once it is over.
func (p *Process) Err() error { return p.err }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may be over

// Kill ends the process as a power cut would.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop asks the process to end, and reports how it did.
func (p *Process) Stop(within time.Duration) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		early := ok && status.Signaled() && status.Signal() == syscall.SIGTERM // it had not begun to listen
		if p.err != nil && !early {
			return fmt.Errorf("a process that was asked to end: %w%s", p.err, p.Tail())
		}
		return nil
	case <-time.After(within):
		return fmt.Errorf("a process does not end within %s%s", within, p.Tail())
	}
}

// Tail is the end of what it said.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; %s ends:\n%s", p.log, b[max(0, len(b)-2500):])
}
