package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// hardware is what the figures were taken on.
type hardware struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryMB  int    `json:"memory_mb"`
	GPU       string `json:"gpu,omitempty"`
	System    string `json:"system"`
}

func thisMachine() hardware {
	h := hardware{
		Processor: fieldOf("/proc/cpuinfo", "model name"), Cores: runtime.GOMAXPROCS(0),
		System: runtime.GOOS + "/" + runtime.GOARCH + " " + runtime.Version(),
	}
	var kilobytes int
	if _, err := fmt.Sscan(fieldOf("/proc/meminfo", "MemTotal"), &kilobytes); err == nil {
		h.MemoryMB = kilobytes >> 10
	}
	if out, err := exec.Command("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").Output(); err == nil { //nolint:noctx // it ends at once, and is not there on most machines
		h.GPU = strings.TrimSpace(strings.SplitN(string(out), "\n", 2)[0])
	}
	return h
}

// fieldOf reads a line "name : value" of a file of the kernel's.
func fieldOf(path, name string) string {
	text, _ := os.ReadFile(path) //nolint:gosec // absent elsewhere than on Linux
	for l := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (h hardware) String() string {
	gpu := ""
	if h.GPU != "" {
		gpu = ", " + h.GPU
	}
	return fmt.Sprintf("%s, %d cores, %d MB%s, %s", h.Processor, h.Cores, h.MemoryMB, gpu, h.System)
}

// slug names the machine in a file's name.
func (h hardware) slug() string {
	words := strings.FieldsFunc(strings.ToLower(fmt.Sprintf("%s %d cores %s", h.Processor, h.Cores, h.GPU)), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
