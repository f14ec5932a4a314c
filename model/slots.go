package model

import (
	"container/heap"
	"context"
	"sync"
)

// slots bounds how many graph runs compute at once. A free slot goes to the
// oldest Encode that waits for one: sharing evenly would make every caller as
// late as the last, and a later Encode still fills the cores that the tail of
// an earlier one leaves idle.
type slots struct {
	mu      sync.Mutex
	free    int
	tickets uint64
	waiting waiters
}

// waiter waits for a slot; ready is closed when it has one.
type waiter struct {
	ticket uint64
	ready  chan struct{}
	index  int // in waiting; −1 when it is not there
}

func newSlots(n int) *slots { return &slots{free: n} }

// ticket is a caller's place in the order of arrival.
func (s *slots) ticket() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets++
	return s.tickets
}

// take waits for a slot. When it returns nil, give must follow.
func (s *slots) take(ctx context.Context, ticket uint64) error {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	w := &waiter{ticket: ticket, ready: make(chan struct{})}
	heap.Push(&s.waiting, w)
	s.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.index >= 0 {
		heap.Remove(&s.waiting, w.index)
	} else {
		// The slot came at the same moment: pass it on.
		s.giveLocked()
	}
	return ctx.Err()
}

func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveLocked()
}

func (s *slots) giveLocked() {
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	w := heap.Pop(&s.waiting).(*waiter)
	close(w.ready)
}

// waiters is a heap, the oldest ticket on top.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].ticket < w[j].ticket }
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push implements heap.Interface.
func (w *waiters) Push(x any) {
	added := x.(*waiter)
	added.index = len(*w)
	*w = append(*w, added)
}

// Pop implements heap.Interface.
func (w *waiters) Pop() any {
	last := len(*w) - 1
	taken := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	taken.index = -1
	return taken
}
