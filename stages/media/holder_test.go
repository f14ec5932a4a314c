package media

import (
	"bytes"
	"crypto/sha256"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// held is a Holder that remembers everything.
type held struct {
	mu   sync.Mutex
	rows map[int]Encoded
}

func (h *held) Hold(_ *schemas.Batch, row int, digest [sha256.Size]byte, im Encoded) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sha256.Sum256(im.Data) != digest {
		panic("not the digest of these bytes")
	}
	im.Data = bytes.Clone(im.Data)
	h.rows[row] = im
}

// Every row whose bytes were at hand is offered, also where one fetch serves
// several, where the same bytes come again, and where the image is known.
func TestHolderIsOfferedEveryImage(t *testing.T) {
	t.Parallel()
	photo, graphic := jpegOf(t, 1), pngOf(t, 2)
	s := newTest(t, &web{pages: map[string][]byte{"photo": photo, "reserved": graphic, "text": []byte("hello")}}, nil)
	for range 2 { // the second time from the cache
		h := &held{rows: make(map[int]Encoded)}
		s.settings.Holder = h
		process(t, s,
			post{pairs: []pair{{url: "photo"}, {image: photo}, {url: "reserved"}}},
			post{pairs: []pair{{url: "photo"}, {url: "reserved"}, {url: "gone"}, {image: graphic}}},
			post{op: schemas.OpDelete, pairs: []pair{{image: photo}}},
			post{rejected: true, pairs: []pair{{image: photo}}},
			post{pairs: []pair{{url: "text"}}},
		)
		require.Equal(t, map[int]Encoded{
			0: {Data: photo}, 1: {Data: photo}, 2: {Data: graphic, Reserved: true},
			3: {Data: photo}, 4: {Data: graphic, Reserved: true}, 6: {Data: graphic},
			9: {Data: []byte("hello")},
		}, h.rows)
	}
}
