package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"golang.org/x/sync/semaphore"
)

// Room bounds the memory of all answers to fetches, over all Fetchers of a
// process. Each asks for room before it fetches, in turn, and for no more than
// its share, so that one that waits for records keeps nobody else waiting. It
// gives room back as soon as its answer is read to the end, and never asks for
// more while it holds some: nobody waits for anybody who waits.
type Room struct {
	size     int64
	sem      *semaphore.Weighted
	fetchers atomic.Int64
	changed  func(bytes int64)
}

// NewRoom makes room for size bytes. changed is told of each change of what is
// taken; nil: nobody asks.
func NewRoom(size int64, changed func(bytes int64)) *Room {
	if changed == nil {
		changed = func(int64) {}
	}
	return &Room{size: size, sem: semaphore.NewWeighted(size), changed: changed}
}

// leastShare keeps a fetch worth its while, in bytes, however many share.
const leastShare = 64 << 10

// share is what a Fetcher may ask for, at most limit, unless it needs more to
// get on.
func (r *Room) share(limit, needs int64) int64 {
	if r == nil {
		return max(limit, needs)
	}
	share := min(limit, max(leastShare, r.size/max(1, r.fetchers.Load())))
	return min(r.size, max(share, needs)) // what is larger than everything goes alone
}

func (r *Room) acquire(ctx context.Context, n int64) error {
	if r == nil {
		return nil
	}
	if err := r.sem.Acquire(ctx, n); err != nil {
		return err
	}
	r.changed(n)
	return nil
}

func (r *Room) tryAcquire(n int64) bool {
	if r == nil {
		return true
	}
	if !r.sem.TryAcquire(n) {
		return false
	}
	r.changed(n)
	return true
}

func (r *Room) release(n int64) {
	if r != nil && n > 0 {
		r.changed(-n)
		r.sem.Release(n)
	}
}

func (r *Room) enter(fetchers int64) {
	if r != nil {
		r.fetchers.Add(fetchers)
	}
}

// noRoomError says that an answer is larger than what was asked for, and that
// there is no room for it now: brokers send the first batch whole.
type noRoomError struct{ bytes int64 }

func (e *noRoomError) Error() string {
	return fmt.Sprintf("an answer of %d bytes has to wait for room", e.bytes)
}

// errAbandoned ends an exchange whose caller has gone.
var errAbandoned = errors.New("nobody waits for the answer any more")

// answerBuffer is the memory of one answer, with its room. The transport may go
// on reading into it after the fetch has given up, so the two agree on who frees
// it: the last one.
type answerBuffer struct {
	room  *Room
	alloc memory.Allocator

	mu        sync.Mutex
	held      int64 // of the room
	buf       []byte
	reading   bool
	abandoned bool
}

// begin is called by the transport before it touches the buffer.
func (b *answerBuffer) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abandoned {
		return errAbandoned
	}
	b.reading = true
	return nil
}

// end is called by the transport when it will not touch the buffer again.
func (b *answerBuffer) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.abandoned {
		b.freeLocked()
	}
}

// free is called by the fetch once it is done with the answer, or gives up.
func (b *answerBuffer) free() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abandoned = true; !b.reading {
		b.freeLocked()
	}
}

func (b *answerBuffer) freeLocked() {
	if b.buf != nil {
		b.alloc.Free(b.buf)
		b.buf = nil
	}
	b.room.release(b.held)
	b.held = 0
}

// fit takes as much room as an answer of n bytes needs: it gives back what is
// too much, and fails when there is too little.
func (b *answerBuffer) fit(n int64) error {
	if b.room == nil {
		return nil
	}
	n = min(n, b.room.size)
	if n > b.held && !b.room.tryAcquire(n-b.held) {
		return &noRoomError{n}
	}
	b.room.release(b.held - n)
	b.held = n
	return nil
}

// readStep is how much of an answer's claimed length is believed before it is
// there, in bytes.
const readStep = 1 << 20

// read reads an answer of n bytes. The room that it takes is asked for before.
func (b *answerBuffer) read(r io.Reader, n int) ([]byte, error) {
	if err := b.fit(int64(n)); err != nil {
		return nil, err
	}
	for at := 0; at < n; at = len(b.buf) {
		if size := min(n, max(2*at, readStep, int(b.held))); at == 0 {
			b.buf = b.alloc.Allocate(size)
		} else {
			b.buf = b.alloc.Reallocate(size, b.buf)
		}
		if _, err := io.ReadFull(r, b.buf[at:]); err != nil {
			return nil, err
		}
	}
	return b.buf, nil
}
