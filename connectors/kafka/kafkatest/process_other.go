//go:build !linux

package kafkatest

import "os/exec"

// dieWithParent is for Linux; elsewhere a test that panics may leave its broker behind.
func dieWithParent(*exec.Cmd) {}
