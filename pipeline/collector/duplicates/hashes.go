package duplicates

import (
	"math/bits"
	"slices"
)

// bands of 16 bits each: when two hashes differ in few bits, one of their bands differs in very few (pigeonhole), so a look-up
// visits only buckets near its own.
const (
	bands     = 4
	bandBits  = 16
	bandSpace = 1 << bandBits
)

// hashes is a set of 64-bit hashes that finds those within a distance: multi-index hashing (Norouzi, Punjani, Fleet 2012).
type hashes struct {
	distance int
	radius   [bands]int // how far a band may be off; below 0: it need not be visited
	masks    []uint16   // what to change in a band, fewest bits first
	upTo     []int      // upTo[r]: how many masks change up to r bits
	buckets  [bands][][]uint64
}

func newHashes(distance int) *hashes {
	h := &hashes{distance: distance}
	// Were band b off by more than radius[b] everywhere, that would add up to more than distance.
	for b := range h.radius {
		h.radius[b] = distance / bands
		if b > distance%bands {
			h.radius[b]--
		}
		h.buckets[b] = make([][]uint64, bandSpace)
	}
	for r := 0; r <= h.radius[0]; r++ {
		for m := range bandSpace {
			if bits.OnesCount16(uint16(m)) == r {
				h.masks = append(h.masks, uint16(m))
			}
		}
		h.upTo = append(h.upTo, len(h.masks))
	}
	return h
}

// band takes every fourth bit: neighbours among frequencies go together, and bands of neighbours would fill few buckets.
func band(hash uint64, b int) (key uint16) {
	// Every fourth bit, moved together by halves.
	x := hash >> b & 0x1111111111111111
	x = (x | x>>3) & 0x0303030303030303
	x = (x | x>>6) & 0x000f000f000f000f
	x = (x | x>>12) & 0x000000ff000000ff
	return uint16((x | x>>24) & 0xffff)
}

// add takes a hash that is not in the set.
func (h *hashes) add(hash uint64) {
	for b := range bands {
		bucket := &h.buckets[b][band(hash, b)]
		*bucket = append(*bucket, hash)
	}
}

// remove takes a hash out that is in the set.
func (h *hashes) remove(hash uint64) {
	for b := range bands {
		bucket := &h.buckets[b][band(hash, b)]
		last := len(*bucket) - 1
		(*bucket)[slices.Index(*bucket, hash)] = (*bucket)[last]
		*bucket = (*bucket)[:last]
		if last == 0 {
			*bucket = nil
		}
	}
}

// near yields each hash of the set within the distance once, after looking at no more than most.
func (h *hashes) near(hash uint64, most int) func(yield func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for b := range bands {
			if h.radius[b] < 0 {
				return
			}
			key := band(hash, b)
			for _, mask := range h.masks[:h.upTo[h.radius[b]]] {
				for _, other := range h.buckets[b][key^mask] {
					if most--; most < 0 {
						return
					}
					if Distance(hash, other) <= h.distance && !h.visited(hash^other, b) && !yield(other) {
						return
					}
				}
			}
		}
	}
}

// visited says whether a hash that is off by difference was met in a band before b.
func (h *hashes) visited(difference uint64, b int) bool {
	for before := range b {
		if bits.OnesCount16(band(difference, before)) <= h.radius[before] {
			return true
		}
	}
	return false
}
