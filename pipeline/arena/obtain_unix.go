//go:build unix

package arena

import "syscall"

func obtain(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func release(block []byte) {
	if err := syscall.Munmap(block); err != nil {
		panic(err) // it is no block of ours
	}
}
