package e2e

import (
	"testing"

	outside "github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
)

// sent is one input record, and what must come of it.
type sent struct {
	key, value []byte
	headers    map[string]string
	outcome    schemas.Outcome
	reason     schemas.Reason // of a dead letter
	post       string         // post id of a result or a tombstone
	images     []int          // indexes of the images that must be labelled
	failed     int            // how many images must not

	partition int32 // filled when it is produced
	offset    int64
}

// writer makes posts of all kinds, the same for the same seed.
type writer struct {
	posts  *outside.Writer
	images [][]byte // some of what the posts show
}

func newWriter(t *testing.T, seed uint64) *writer {
	t.Helper()
	w := &writer{posts: outside.NewWriter(seed)}
	for i := range 24 {
		w.images = append(w.images, w.posts.Image(i))
	}
	return w
}

// many returns n records: mostly good posts, and some of every other kind.
func (w *writer) many(n int) []*sent {
	all := make([]*sent, n)
	for i, p := range w.posts.Many(n) {
		all[i] = &sent{
			key: p.Key, value: p.Value, headers: map[string]string{}, outcome: p.Outcome, reason: p.Reason,
			post: p.Post, images: p.Images, failed: p.Failed,
		}
		for _, h := range p.Headers {
			all[i].headers[h[0]] = h[1]
		}
	}
	return all
}
