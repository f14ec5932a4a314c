package pipeline

import (
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// putsAtOnce is how many images of all partitions are on their way.
	putsAtOnce = 16
	// storePause is for how long a store that failed is left alone.
	storePause = 30 * time.Second
)

// imageStore is where images go, under their digest in hexadecimal digits.
type imageStore interface {
	Put(ctx context.Context, digest string, data []byte, mime string) error
}

// puts puts images into a store that may be away: it waits for a while, once,
// and then leaves the store alone for a longer while.
type puts struct {
	store   imageStore
	timeout time.Duration
	room    *semaphore.Weighted
	now     func() time.Time
	log     *slog.Logger

	mu    sync.Mutex
	until time.Time // the store is left alone
	away  bool
}

func newPuts(store imageStore, timeout time.Duration, now func() time.Time, log *slog.Logger) *puts {
	return &puts{store: store, timeout: timeout, room: semaphore.NewWeighted(putsAtOnce), now: now, log: log}
}

// all puts images, each once, and returns the digests of those that are in the
// store. It ends with the timeout even where the store does not: a folder on a
// dead server may block whoever touches it for ever.
func (p *puts) all(ctx context.Context, list []heldImage) map[string]bool {
	stored := make(map[string]bool)
	if p.resting() {
		return stored
	}
	byDigest := make(map[string][]byte)
	for _, im := range list {
		byDigest[hex.EncodeToString(im.digest[:])] = im.data
	}
	timed, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	type outcome struct {
		digest string
		err    error
	}
	outcomes := make(chan outcome, len(byDigest))
	for digest, data := range byDigest {
		go func() { outcomes <- outcome{digest, p.one(timed, digest, data)} }()
	}
	var failed error
	for range byDigest {
		select {
		case o := <-outcomes:
			if o.err != nil {
				failed = o.err
				continue
			}
			stored[o.digest] = true
		case <-timed.Done():
			failed = timed.Err()
		}
	}
	if ctx.Err() == nil {
		p.judge(ctx, failed)
	}
	return stored
}

func (p *puts) one(ctx context.Context, digest string, data []byte) error {
	if err := p.room.Acquire(ctx, 1); err != nil {
		return err
	}
	defer p.room.Release(1)
	return p.store.Put(ctx, digest, data, http.DetectContentType(data))
}

func (p *puts) resting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now().Before(p.until)
}

// judge notes how the store did.
func (p *puts) judge(ctx context.Context, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case failed != nil:
		p.until = p.now().Add(storePause)
		p.log.WarnContext(ctx, "the image store is away: labels go on, and nothing is collected meanwhile",
			"again_in", storePause, "timeout", p.timeout, "error", failed)
		p.away = true
	case p.away:
		p.log.InfoContext(ctx, "the image store is back")
		p.away = false
	}
}
