package media

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// turns limits how many requests run at once, together and to each host.
type turns struct {
	all     *semaphore.Weighted
	perHost int64

	mu    sync.Mutex
	hosts map[string]*queue // only those in use, so that names made up by strangers don't pile up
}

type queue struct {
	slots *semaphore.Weighted
	users int
}

func newTurns(all, perHost int) *turns {
	return &turns{all: semaphore.NewWeighted(int64(all)), perHost: int64(perHost), hosts: make(map[string]*queue)}
}

// take waits for a turn with host; the caller must end it. Who waits for a busy host holds up no other host.
func (t *turns) take(ctx context.Context, host string) (end func(), err error) {
	q := t.join(host)
	if err := q.slots.Acquire(ctx, 1); err != nil {
		t.leave(host, q)
		return nil, err
	}
	if err := t.all.Acquire(ctx, 1); err != nil {
		q.slots.Release(1)
		t.leave(host, q)
		return nil, err
	}
	return func() {
		t.all.Release(1)
		q.slots.Release(1)
		t.leave(host, q)
	}, nil
}

func (t *turns) join(host string) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.hosts[host]
	if q == nil {
		q = &queue{slots: semaphore.NewWeighted(t.perHost)}
		t.hosts[host] = q
	}
	q.users++
	return q
}

func (t *turns) leave(host string, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(t.hosts, host)
	}
}
