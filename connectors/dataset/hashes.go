package dataset

import (
	"iter"
	"slices"
)

// hashes is a set of 8 bytes an element: a sorted list, and what came since it
// was last sorted.
type hashes struct {
	sorted []uint64
	recent map[uint64]struct{}
}

func (h *hashes) has(x uint64) bool {
	if _, ok := h.recent[x]; ok {
		return true
	}
	_, ok := slices.BinarySearch(h.sorted, x)
	return ok
}

func (h *hashes) len() int { return len(h.sorted) + len(h.recent) }

// add reports whether x is new.
func (h *hashes) add(x uint64) bool {
	if h.has(x) {
		return false
	}
	if h.recent == nil {
		h.recent = make(map[uint64]struct{})
	}
	h.recent[x] = struct{}{}
	if len(h.recent) > 1024+len(h.sorted)/16 {
		h.sort()
	}
	return true
}

func (h *hashes) sort() {
	for x := range h.recent {
		h.sorted = append(h.sorted, x)
	}
	slices.Sort(h.sorted)
	h.recent = nil
}

func (h *hashes) all() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, x := range h.sorted {
			if !yield(x) {
				return
			}
		}
		for x := range h.recent {
			if !yield(x) {
				return
			}
		}
	}
}
