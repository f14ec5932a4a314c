// Package arenatest shows who looks at Arrow memory after its release.
package arenatest

import (
	"bytes"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Spoiler is an allocator whose memory is spoilt as soon as it is freed, and
// when it is handed out: who relies on zeros, or on what was there, sees
// something else. The bytes are no valid UTF-8, and no number that makes sense.
type Spoiler struct {
	Below memory.Allocator
}

const spoilt = 0xF9

// Allocate returns spoilt bytes.
func (s Spoiler) Allocate(size int) []byte {
	b := s.Below.Allocate(size)
	spoil(b)
	return b
}

// Reallocate always moves.
func (s Spoiler) Reallocate(size int, b []byte) []byte {
	to := s.Allocate(size)
	copy(to, b)
	s.Free(b)
	return to
}

// Free spoils b.
func (s Spoiler) Free(b []byte) {
	spoil(b)
	s.Below.Free(b)
}

func spoil(b []byte) {
	if len(b) > 0 {
		copy(b, bytes.Repeat([]byte{spoilt}, len(b)))
	}
}
