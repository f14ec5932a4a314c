package media

import (
	"fmt"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cache remembers what became of an image's bytes: the same bytes always give the same pixels, or fail in the same way. A nil
// cache is empty and stays so.
type cache struct {
	entries *lru.Cache[digest, cached]
}

type cached struct {
	pixels []byte // nil when it failed
	failed verdict
}

// entryBytes is about what an entry takes beside its pixels.
const entryBytes = 512

func newCache(bytes int64, width int) (*cache, error) {
	n := bytes / int64(width+entryBytes)
	if n == 0 {
		return nil, nil //nolint:nilnil // a nil cache works
	}
	entries, err := lru.New[digest, cached](int(n))
	if err != nil {
		return nil, fmt.Errorf("media: cache: %w", err)
	}
	return &cache{entries: entries}, nil
}

func (c *cache) get(d digest) (cached, bool) {
	if c == nil {
		return cached{}, false
	}
	return c.entries.Get(d)
}

// putPixels keeps a copy: pixels belong to a batch.
func (c *cache) putPixels(d digest, pixels []byte) {
	if c != nil {
		c.entries.Add(d, cached{pixels: slices.Clone(pixels)})
	}
}

func (c *cache) putFailure(d digest, v verdict) {
	if c != nil {
		c.entries.Add(d, cached{failed: v})
	}
}
