package arena

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

const (
	// smallest is the least size of a block of ours. What is smaller is Go's:
	// there is little of it, and pages would be wasted on it.
	smallest = 64 << 10
	// kept is how much is held ready for the next buffers, in bytes.
	kept = 16 << 20
)

// Allocator is an Arrow allocator. The memory that it gives out is not zeroed.
// It is safe for concurrent use.
type Allocator struct {
	small memory.Allocator

	mu   sync.Mutex
	used map[*byte][]byte // blocks in use, by their first byte
	free map[int][][]byte // blocks that are ready, by size
	idle int              // bytes of those
}

var _ memory.Allocator = (*Allocator)(nil)

// New returns an allocator that has nothing yet.
func New() *Allocator {
	return &Allocator{small: memory.NewGoAllocator(), used: make(map[*byte][]byte), free: make(map[int][][]byte)}
}

// Allocate returns size bytes, 64-byte aligned.
func (a *Allocator) Allocate(size int) []byte {
	if size < smallest {
		return a.small.Allocate(size)
	}
	class := classOf(size)
	a.mu.Lock()
	defer a.mu.Unlock()
	var block []byte
	if ready := a.free[class]; len(ready) > 0 {
		block = ready[len(ready)-1]
		a.free[class] = ready[:len(ready)-1]
		a.idle -= class
	} else {
		var err error
		if block, err = obtain(class); err != nil {
			return a.small.Allocate(size) // slower, and as good
		}
	}
	a.used[&block[0]] = block
	return block[:size:size]
}

// Reallocate returns size bytes that begin as b does, and frees b unless that
// is what it returns.
func (a *Allocator) Reallocate(size int, b []byte) []byte {
	if size == len(b) {
		return b
	}
	if block := a.blockOf(b); block != nil && size >= smallest && classOf(size) == len(block) {
		return block[:size:size]
	}
	to := a.Allocate(size)
	copy(to, b)
	a.Free(b)
	return to
}

// Free takes back what Allocate or Reallocate returned.
func (a *Allocator) Free(b []byte) {
	block := a.blockOf(b)
	if block == nil {
		return // Go's
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, &block[0])
	for size, ready := range a.free {
		// What other sizes hold makes room: they may never be asked for again.
		for size != len(block) && len(ready) > 0 && a.idle+len(block) > kept {
			release(ready[len(ready)-1])
			ready = ready[:len(ready)-1]
			a.idle -= size
		}
		a.free[size] = ready
	}
	if a.idle+len(block) > kept {
		release(block)
		return
	}
	a.free[len(block)] = append(a.free[len(block)], block)
	a.idle += len(block)
}

// blockOf returns the block that b is the beginning of; nil when it is Go's.
func (a *Allocator) blockOf(b []byte) []byte {
	if cap(b) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used[&b[:1][0]]
}

// classOf rounds a size up to one of four steps between two powers of two, so
// that at most a fifth of a block is wasted.
func classOf(size int) int {
	step := 1 << (bits.Len(uint(size-1)) - 3)
	return (size + step - 1) &^ (step - 1)
}
