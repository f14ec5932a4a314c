package main

import (
	"fmt"
	"os"
	"path/filepath"
)

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
