package pipeline

import (
	"bytes"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/collect"
)

// held are encoded images between media, which is done with them, and the
// choice of what is collected. A batch's images go with the batch. When there is no room
// a new image is not held: the older ones are nearer to their choice.
type held struct {
	limit   int64
	metrics *collect.Metrics

	mu     sync.Mutex
	bytes  int64
	images map[schemas.Partition]map[pairKey]heldImage
}

// pairKey names a pair within its partition.
type pairKey struct {
	offset int64
	pair   int32
}

// heldImage is one image, without its bytes when it must not be collected.
type heldImage struct {
	digest   [32]byte
	data     []byte
	reserved bool
}

func newHeld(limit int64, m *collect.Metrics) *held {
	return &held{limit: limit, metrics: m, images: make(map[schemas.Partition]map[pairKey]heldImage)}
}

// put keeps a copy of an image of a row of Pairs, if there is room.
func (h *held) put(b *schemas.Batch, row int, im heldImage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key, of := keyOf(b, row), h.images[b.Partition]
	if _, again := of[key]; again || h.bytes+int64(len(im.data)) > h.limit {
		return
	}
	if of == nil {
		of = make(map[pairKey]heldImage)
		h.images[b.Partition] = of
	}
	im.data = bytes.Clone(im.data)
	of[key] = im
	h.add(int64(len(im.data)))
}

// get returns the image of a row of Pairs, if it is held.
func (h *held) get(b *schemas.Batch, row int) (heldImage, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	im, ok := h.images[b.Partition][keyOf(b, row)]
	return im, ok
}

// forget drops a partition's images of an offset range.
func (h *held) forget(p schemas.Partition, r schemas.OffsetRange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.images[p]
	for key, im := range of {
		if key.offset >= r.First && key.offset < r.End {
			delete(of, key)
			h.add(-int64(len(im.data)))
		}
	}
	if len(of) == 0 {
		delete(h.images, p)
	}
}

func (h *held) add(n int64) {
	h.bytes += n
	h.metrics.Holds(h.bytes)
}

func keyOf(b *schemas.Batch, row int) pairKey {
	post := schemas.Col[*array.Int32](b.Pairs(), schemas.PairPost).Value(row)
	return pairKey{
		offset: schemas.Col[*array.Int64](b.Posts(), schemas.RecordOffset).Value(int(post)),
		pair:   schemas.Col[*array.Int32](b.Pairs(), schemas.PairIndex).Value(row),
	}
}
