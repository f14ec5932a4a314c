// Package session has what a program needs that tries the pipeline out on real
// servers, outside of a test: Session starts and ends the servers of kafkatest
// and redistest, Process is a child that can be watched, stopped and killed.
package session

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Session is what starters of test servers ask for.
type Session struct {
	testing.TB
	dir      string
	cleanups []func()
}

// New makes a session with its files in a folder.
func New(dir string) *Session { return &Session{dir: dir} }

// failure is how Fatal ends the run.
type failure struct{ error }

// Recover makes an error of what a session called fatal. Defer it.
func Recover(err *error) {
	switch p := recover().(type) {
	case nil:
	case failure:
		*err = p.error
	default:
		panic(p)
	}
}

// Helper does nothing.
func (*Session) Helper() {}

// Fatal ends the run.
func (*Session) Fatal(args ...any) { panic(failure{errors.New(fmt.Sprint(args...))}) }

// Fatalf ends the run.
func (*Session) Fatalf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)}) //nolint:err113 // a test's words
}

// TempDir makes a folder in the session's.
func (s *Session) TempDir() string {
	dir, err := os.MkdirTemp(s.dir, "server-")
	if err != nil {
		s.Fatal(err)
	}
	return dir
}

// Cleanup remembers f for the end.
func (s *Session) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// End does what Cleanup remembered, the last first.
func (s *Session) End() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}
