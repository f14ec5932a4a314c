package media

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// sight is what became of an image's bytes: the same bytes always look the same, or fail in the same way.
type sight struct {
	vector []float32 // what the image tower made of it, not to be changed; nil when it failed
	failed verdict
}

// cache remembers sights, and who is busy with one: an image that many posts show is worked on once, though the second comes
// while the first is under way.
type cache struct {
	metrics *Metrics

	mu     sync.Mutex
	known  *simplelru.LRU[digest, sight] // nil: nothing is remembered
	making map[digest]*making
}

// making is a sight that somebody works on. It is set before done is closed.
type making struct {
	done  chan struct{}
	sight sight
	err   error
}

// entryBytes is about what a sight takes beside its vector.
const entryBytes = 576

// newCache makes room for vectors of a width in so many bytes.
func newCache(bytes int64, width int, m *Metrics) (*cache, error) {
	c := &cache{metrics: m, making: make(map[digest]*making)}
	if n := bytes / int64(4*width+entryBytes); n > 0 {
		known, err := simplelru.NewLRU[digest, sight](int(n), nil)
		if err != nil {
			return nil, fmt.Errorf("media: cache: %w", err)
		}
		c.known = known
	}
	return c, nil
}

// get returns the sight of an image: as it is remembered, or as somebody makes it just now, or by see. An error is ctx's or
// see's; those of others who were asked are not passed on.
func (c *cache) get(ctx context.Context, d digest, see func() (sight, error)) (sight, error) {
	for {
		got, mine, other := c.look(d)
		switch {
		case mine != nil:
			c.metrics.missed()
			defer c.made(d, mine)
			mine.sight, mine.err = see()
			return mine.sight, mine.err
		case other == nil:
			c.metrics.hit()
			return got, nil
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return sight{}, ctx.Err()
		}
		if other.err == nil {
			c.metrics.shared()
			return other.sight, nil
		}
	}
}

// look returns the sight if it is known; else whose work it is to make it.
func (c *cache) look(d digest) (known sight, mine, other *making) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known != nil {
		if s, ok := c.known.Get(d); ok {
			return s, nil, nil
		}
	}
	if m, ok := c.making[d]; ok {
		return sight{}, nil, m
	}
	m := &making{done: make(chan struct{})}
	c.making[d] = m
	return sight{}, m, nil
}

// made tells those who wait, and remembers the sight if it is one.
func (c *cache) made(d digest, m *making) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.making, d)
	if m.err == nil && c.known != nil {
		c.known.Add(d, m.sight)
	}
	close(m.done)
}
