package media

import (
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// pauses leaves hosts alone that keep failing. Without it one dead host could hold up a batch for as long as it takes to time
// out on each of its images.
type pauses struct {
	limit int // failures in a row; 0 never pauses
	pause time.Duration
	now   func() time.Time

	mu    sync.Mutex
	hosts *lru.LRU[string, *record] // only those that failed lately
}

type record struct {
	failures int
	until    time.Time
}

// maxRecords bounds how many failing hosts are remembered.
const maxRecords = 4096

func newPauses(limit int, pause time.Duration, now func() time.Time) *pauses {
	hosts, err := lru.NewLRU[string, *record](maxRecords, nil)
	if err != nil {
		panic(fmt.Sprintf("media: %v", err)) // only a size below 1 fails
	}
	return &pauses{limit: limit, pause: pause, now: now, hosts: hosts}
}

// check says why host is left alone at the moment.
func (p *pauses) check(host string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.hosts.Get(host)
	if !ok {
		return nil
	}
	if left := r.until.Sub(p.now()); left > 0 {
		return fmt.Errorf("%s failed %d times in a row and is left alone for another %v", host, r.failures, left.Round(time.Millisecond))
	}
	return nil
}

// answered forgets a host's failures.
func (p *pauses) answered(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts.Remove(host)
}

// failed counts one. After a pause a single further failure begins the next.
func (p *pauses) failed(host string) (paused bool) {
	if p.limit == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.hosts.Get(host)
	if !ok {
		r = &record{}
		p.hosts.Add(host, r)
	}
	r.failures++
	if r.failures < p.limit || p.now().Before(r.until) {
		return false
	}
	r.until = p.now().Add(p.pause)
	return true
}
