package duplicates

import (
	"sync"

	"github.com/cespare/xxhash/v2"
)

// What a look-up does at most, so that neither a viral picture under many texts nor pictures made to collide can stop a
// collector: under half a millisecond. A row whose duplicate lies beyond is kept.
const (
	mostHashes = 1 << 15
	mostTexts  = 1 << 12
)

// none is no slot.
const none = -1

// Index remembers the newest rows and finds near duplicates among them. It is safe for concurrent use.
//
// Rows with one image hash are a list, newest first, and each such hash is in a set that finds hashes nearby.
type Index struct {
	cfg Config

	mu     sync.Mutex
	rows   []row            // a ring once it is full
	next   int32            // where the next row goes
	live   int              // rows that are not forgotten
	images *hashes          // of live rows
	newest map[uint64]int32 // image hash → newest live row
	// Rows by the hash of their whole signature: the same post again, the most usual duplicate, is found past any crowd.
	same map[uint64]int32
}

type row struct {
	id           uint64
	signature    Signature
	older, newer int32 // rows of the same image hash
	live         bool
}

// New returns an empty index.
func New(cfg Config) (*Index, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	x := &Index{cfg: cfg, newest: map[uint64]int32{}, same: map[uint64]int32{}}
	if cfg.Capacity > 0 {
		x.images = newHashes(cfg.ImageDistance)
	}
	return x, nil
}

// Admit remembers a row unless it is a near duplicate of a remembered one; then it returns false and nothing changes.
func (x *Index) Admit(id uint64, s Signature) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cfg.Capacity == 0 {
		return true
	}
	if x.has(s) {
		return false
	}
	x.add(id, s)
	return true
}

// Remember takes a row that a data set holds, whatever it resembles. Rows leave in the order they came in, so they are to be
// remembered oldest first.
func (x *Index) Remember(id uint64, s Signature) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cfg.Capacity > 0 {
		x.add(id, s)
	}
}

// Forget takes a row out, as after a takedown: what resembles it is welcome again. It says whether the row was remembered.
func (x *Index) Forget(id uint64, s Signature) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, ok := x.newest[s.Image]
	if !ok {
		return false
	}
	for ; slot != none; slot = x.rows[slot].older {
		if r := x.rows[slot]; r.id == id && r.signature == s {
			x.remove(slot)
			return true
		}
	}
	return false
}

// Len is how many rows are remembered.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.live
}

func (x *Index) has(s Signature) bool {
	if slot, ok := x.same[s.sum()]; ok && x.rows[slot].signature == s {
		return true
	}
	texts := mostTexts
	for image := range x.images.near(s.Image, mostHashes) {
		for slot := x.newest[image]; slot != none; slot = x.rows[slot].older {
			if texts--; texts < 0 {
				return false
			}
			if _, ok := similar(s.Text, x.rows[slot].signature.Text, x.cfg.TextSimilarity); ok {
				return true
			}
		}
	}
	return false
}

func (x *Index) add(id uint64, s Signature) {
	slot := x.next
	if len(x.rows) < x.cfg.Capacity {
		x.rows = append(x.rows, row{})
	} else if x.rows[slot].live {
		x.remove(slot)
	}
	if x.next++; int(x.next) == x.cfg.Capacity {
		x.next = 0
	}
	older, ok := x.newest[s.Image]
	if ok {
		x.rows[older].newer = slot
	} else {
		older = none
		x.images.add(s.Image)
	}
	x.rows[slot] = row{id: id, signature: s, older: older, newer: none, live: true}
	x.newest[s.Image] = slot
	x.same[s.sum()] = slot
	x.live++
}

func (x *Index) remove(slot int32) {
	r := x.rows[slot]
	image := r.signature.Image
	if r.older != none {
		x.rows[r.older].newer = r.newer
	}
	switch {
	case r.newer != none:
		x.rows[r.newer].older = r.older
	case r.older != none:
		x.newest[image] = r.older
	default:
		delete(x.newest, image)
		x.images.remove(image)
	}
	if sum := r.signature.sum(); x.same[sum] == slot {
		delete(x.same, sum)
	}
	x.rows[slot] = row{}
	x.live--
}

func (s Signature) sum() uint64 {
	return xxhash.Sum64String(string(s.Text)) ^ s.Image*0x9e3779b97f4a7c15
}
