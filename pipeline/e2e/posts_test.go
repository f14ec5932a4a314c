package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

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
	t      *testing.T
	r      *rand.Rand
	images [][]byte
	n      int
}

func newWriter(t *testing.T, seed uint64) *writer {
	t.Helper()
	w := &writer{t: t, r: rand.New(rand.NewPCG(seed, 1))}
	for range 24 {
		w.images = append(w.images, w.picture())
	}
	return w
}

// picture draws a few rectangles, as JPEG or PNG.
func (w *writer) picture() []byte {
	im := image.NewRGBA(image.Rect(0, 0, 40+w.r.IntN(80), 40+w.r.IntN(80)))
	for range 6 {
		c := color.RGBA{R: uint8(w.r.IntN(256)), G: uint8(w.r.IntN(256)), B: uint8(w.r.IntN(256)), A: 255}
		x, y := w.r.IntN(im.Rect.Dx()), w.r.IntN(im.Rect.Dy())
		for i := range 30 {
			for j := range 30 {
				im.Set(x+i, y+j, c)
			}
		}
	}
	var b bytes.Buffer
	if w.r.IntN(2) == 0 {
		require.NoError(w.t, jpeg.Encode(&b, im, nil))
	} else {
		require.NoError(w.t, png.Encode(&b, im))
	}
	return b.Bytes()
}

func (w *writer) image() schemas.Media {
	return schemas.Media{Data: w.images[w.r.IntN(len(w.images))]}
}

// many returns n records: mostly good posts, and some of every other kind.
func (w *writer) many(n int) []*sent {
	posts := make([]*sent, n)
	for i := range posts {
		posts[i] = w.next()
	}
	return posts
}

func (w *writer) next() *sent {
	w.n++
	id := fmt.Sprintf("post-%d", w.n)
	post := schemas.Post{Schema: schemas.PostSchema, Source: "test", PostID: id, Text: fmt.Sprintf("look at number %d", w.r.IntN(50))}
	s := &sent{
		key: []byte("author-" + fmt.Sprint(w.r.IntN(20))), post: id, outcome: schemas.OutcomeResult,
		headers: map[string]string{"traceparent": "00-" + id},
	}
	broken := w.images[0][:len(w.images[0])/2]
	switch kind := w.r.IntN(20); kind {
	case 0: // no image
	case 1, 2: // several images, one of them broken
		post.Media = []schemas.Media{w.image(), {Data: broken}, w.image()}
		s.images, s.failed = []int{0, 2}, 1
	case 3:
		post.Op, s.outcome = schemas.OpDelete, schemas.OutcomeTombstone
	case 4: // every image fails
		post.Media = []schemas.Media{{Data: broken}, {URL: "http://127.0.0.1:9/x.jpg"}}
		s.outcome, s.reason = schemas.OutcomeDeadLetter, schemas.ReasonMediaFailed
	case 5:
		s.value, s.outcome, s.reason = []byte(`{"schema":"post.v1",`+id), schemas.OutcomeDeadLetter, schemas.ReasonMalformed
	case 6:
		post.Schema, s.outcome, s.reason = "post.v9", schemas.OutcomeDeadLetter, schemas.ReasonSchemaUnknown
	case 7: // the same post again
		post.Op = schemas.OpUpdate
		post.PostID = fmt.Sprintf("post-%d", 1+w.r.IntN(w.n))
		s.post = post.PostID
		fallthrough
	default:
		post.Media = []schemas.Media{w.image()}
		s.images = []int{0}
	}
	if s.value == nil {
		var err error
		s.value, err = json.Marshal(post)
		require.NoError(w.t, err)
	}
	return s
}
