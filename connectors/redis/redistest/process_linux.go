package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the server when the test's process dies without its
// cleanups, as it does on a panic or a timeout.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
