package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what the kernel knows of a process, by its number.
type usage int

// tick is the unit of processor time in /proc, the same on every Linux that
// Go runs on.
const tick = 10 * time.Millisecond

// cpu is the processor time that the process has taken.
func (u usage) cpu() time.Duration {
	text, err := os.ReadFile(u.proc("stat"))
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
func (u usage) peakMB() float64 {
	var kilobytes float64
	if _, err := fmt.Sscan(fieldOf(u.proc("status"), "VmHWM"), &kilobytes); err != nil {
		return 0
	}
	return kilobytes / 1024
}

func (u usage) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(int(u)), file)
}

// residentMB is the memory that the process has now.
func (u usage) residentMB() float64 {
	var kilobytes float64
	if _, err := fmt.Sscan(fieldOf(u.proc("status"), "VmRSS"), &kilobytes); err != nil {
		return 0
	}
	return kilobytes / 1024
}

func (u usage) openFiles() float64 {
	names, err := os.ReadDir(u.proc("fd"))
	if err != nil {
		return 0
	}
	return float64(len(names))
}
