//go:build !linux

package redistest

import "os/exec"

// dieWithParent needs Linux; elsewhere a server may outlive a panicking test.
func dieWithParent(*exec.Cmd) {}
