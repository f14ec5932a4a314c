package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"

	"github.com/itrstream/itrstream/schemas"
)

// Post is one input record, and what must come of it.
type Post struct {
	Key, Value []byte
	Headers    [][2]string
	Outcome    schemas.Outcome
	Reason     schemas.Reason // of a dead letter
	Post       string         // post id of a result or a tombstone
	Images     []int          // indexes of the images that must be labelled
	Failed     int            // how many images must not
	Cut        bool           // no topic takes it: its dead letter holds a beginning
}

// Writer makes posts of all kinds, the same for the same seed.
type Writer struct {
	// Slow is the URL of a folder with the writer's images under their
	// numbers, which take their time; empty: all images are inline.
	Slow string

	random *rand.Rand
	images [][]byte
	n      int
}

// fashion is after how many posts the pictures change, so that clusters die
// and others are born.
const fashion = 400

// families is how many kinds of pictures there are, and perFamily how many of
// each.
const (
	families  = 6
	perFamily = 8
)

// NewWriter returns a writer.
func NewWriter(seed uint64) *Writer {
	w := &Writer{random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // repeatable on purpose
	for i := range families * perFamily {
		w.images = append(w.images, w.picture(i/perFamily))
	}
	return w
}

// Image returns one of the images that posts show, by number.
func (w *Writer) Image(n int) []byte { return w.images[n%len(w.images)] }

// picture draws rectangles in colours of its family.
func (w *Writer) picture(family int) []byte {
	im := image.NewRGBA(image.Rect(0, 0, 40+w.random.IntN(80), 40+w.random.IntN(80)))
	tint := func(bit int) uint8 { return uint8(200*(family>>bit&1) + w.random.IntN(55)) } //nolint:gosec // below 256
	for range 6 {
		c := color.RGBA{R: tint(0), G: tint(1), B: tint(2), A: 255}
		x, y := w.random.IntN(im.Rect.Dx()), w.random.IntN(im.Rect.Dy())
		for i := range 30 {
			for j := range 30 {
				im.Set(x+i, y+j, c)
			}
		}
	}
	var b bytes.Buffer
	var err error
	if w.random.IntN(2) == 0 {
		err = jpeg.Encode(&b, im, nil)
	} else {
		err = png.Encode(&b, im)
	}
	if err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}

func (w *Writer) media() schemas.Media {
	family := (w.n/fashion + w.random.IntN(2)) % families
	n := family*perFamily + w.random.IntN(perFamily)
	if w.Slow != "" && w.random.IntN(8) == 0 {
		return schemas.Media{URL: fmt.Sprintf("%s/%d", w.Slow, n)}
	}
	return schemas.Media{Data: w.images[n]}
}

// Many returns n posts: mostly good ones, and some of every other kind.
func (w *Writer) Many(n int) []*Post {
	posts := make([]*Post, n)
	for i := range posts {
		posts[i] = w.next()
	}
	return posts
}

func (w *Writer) next() *Post {
	w.n++
	id := fmt.Sprintf("post-%d", w.n)
	post := schemas.Post{Schema: schemas.PostSchema, Source: "oracle", PostID: id, Text: fmt.Sprintf("look at number %d", w.random.IntN(50))}
	p := &Post{
		Key: fmt.Appendf(nil, "author-%d", w.random.IntN(20)), Post: id, Outcome: schemas.OutcomeResult,
		Headers: [][2]string{{"traceparent", "00-" + id}},
	}
	broken := w.images[0][:len(w.images[0])/2]
	switch w.random.IntN(20) {
	case 0: // no image
	case 1, 2: // several images, one of them broken
		post.Media = []schemas.Media{w.media(), {Data: broken}, w.media()}
		p.Images, p.Failed = []int{0, 2}, 1
	case 3:
		post.Op, p.Outcome = schemas.OpDelete, schemas.OutcomeTombstone
	case 4: // every image fails
		post.Media = []schemas.Media{{Data: broken}, {URL: "http://192.0.2.1:9/x.jpg"}}
		p.Outcome, p.Reason = schemas.OutcomeDeadLetter, schemas.ReasonMediaFailed
	case 5:
		p.Value, p.Outcome, p.Reason = []byte(`{"schema":"post.v1",`+id), schemas.OutcomeDeadLetter, schemas.ReasonMalformed
	case 6:
		post.Schema, p.Outcome, p.Reason = "post.v9", schemas.OutcomeDeadLetter, schemas.ReasonSchemaUnknown
	case 7: // the same post again
		post.Op = schemas.OpUpdate
		p.Post = fmt.Sprintf("post-%d", 1+w.random.IntN(w.n))
		post.PostID = p.Post
		fallthrough
	default:
		post.Media = []schemas.Media{w.media()}
		p.Images = []int{0}
	}
	if p.Value == nil {
		var err error
		if p.Value, err = json.Marshal(post); err != nil {
			panic(err) // of strings and bytes
		}
	}
	return p
}
