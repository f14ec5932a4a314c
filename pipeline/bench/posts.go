package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/pipeline/demo/assets"
	"github.com/itrstream/itrstream/schemas"
)

// stream is a sequence of posts, the same each time.
type stream struct {
	Name  string
	kinds []share // none: posts without an image
	// repeated is the share of posts that show the photo of an earlier one.
	repeated float64
}

type share struct {
	kind
	upTo float64 // of the posts, with the kinds before it
}

// Posts of the mix have 364 KB on average.
var (
	mixStream  = stream{Name: "mix", kinds: []share{{social, 0.70}, {small, 0.95}, {phone, 1}}}
	viral      = stream{Name: "viral", kinds: mixStream.kinds, repeated: 0.3}
	textStream = stream{Name: "text"}
)

func streamOf(k kind) stream { return stream{Name: k.Name, kinds: []share{{k, 1}}} }

// streamNamed finds a stream for a child process.
func streamNamed(name string) (stream, error) {
	for _, k := range kinds {
		if k.Name == name {
			return streamOf(k), nil
		}
	}
	if name == mixStream.Name {
		return mixStream, nil
	}
	return stream{}, fmt.Errorf("no stream of photos is called %q", name)
}

// writer makes the posts of a stream.
type writer struct {
	stream
	texts  []string
	files  map[string][][]byte
	shorts [][]byte // posts without an image
}

func newWriter(s stream, photos string) (*writer, error) {
	w := &writer{stream: s, files: map[string][][]byte{}}
	for _, k := range s.kinds {
		for i := range k.Count {
			file, err := os.ReadFile(photoFile(photos, k.kind, i))
			if err != nil {
				return nil, err
			}
			w.files[k.Name] = append(w.files[k.Name], file)
		}
	}
	var err error
	w.texts, err = sentences()
	return w, err
}

// differentTexts are more than a run labels: what a model has made of a text
// is kept for the next.
const differentTexts = 1 << 14

// sentences are the demo's words, cut anew at the lengths of tweets.
func sentences() ([]string, error) {
	posts, err := assets.Posts()
	if err != nil {
		return nil, err
	}
	var words []string
	for _, message := range posts {
		var post schemas.Post
		if json.Unmarshal(message.Value, &post) == nil {
			words = append(words, strings.Fields(post.Text)...)
		}
	}
	random := newRandom(3, 3)
	out := make([]string, differentTexts)
	for i := range out {
		n := 6 + random.IntN(30)
		at := random.IntN(len(words) - n)
		out[i] = strings.Join(words[at:at+n], " ")
	}
	return out, nil
}

func (w *writer) text(n int) string { return w.texts[n%len(w.texts)] }

// What makes a file unique: a comment after a JPEG's first marker.
const (
	jpegStart = "\xff\xd8"
	comment   = "\xff\xfe\x00\x0e%012d"
)

// photo is the file of post n. But for those that are repeated, its digest is like
// no other's, for the pipeline works on a repeated file once.
func (w *writer) photo(n int) []byte {
	if random := newRandom(n, 12); n > 0 && random.Float64() < w.repeated {
		return w.photo(random.IntN(n))
	}
	file := w.original(n)
	return append([]byte(jpegStart+fmt.Sprintf(comment, n)), file[len(jpegStart):]...)
}

// kindsBlock is how many posts, one after the other, have exactly the shares of
// the stream: one photo of a phone costs as much as ten others, and runs that are
// compared must not differ by their luck.
const kindsBlock = 20

func (w *writer) original(n int) []byte {
	at := (float64(newRandom(n/kindsBlock, 11).Perm(kindsBlock)[n%kindsBlock]) + 0.5) / kindsBlock
	for _, s := range w.kinds {
		if at < s.upTo {
			files := w.files[s.Name]
			return files[newRandom(n, 13).IntN(len(files))]
		}
	}
	panic("the shares of a stream end with 1")
}

func postID(n int) string { return fmt.Sprintf("bench-%08d", n) }

// textPost is how long a post without an image is, in bytes.
const textPost = 350

// value is post n as it stands in the topic.
func (w *writer) value(n int) []byte {
	if len(w.kinds) == 0 {
		return w.short(n)
	}
	post := w.post(n)
	post.Media = []schemas.Media{{Kind: "image", Data: w.photo(n)}}
	return marshal(post)
}

func (w *writer) post(n int) schemas.Post {
	created := time.Date(2026, time.September, 1, 7, 0, n%3600, 0, time.UTC)
	return schemas.Post{
		Schema: schemas.PostSchema, Source: "bench", PostID: postID(n), AuthorID: fmt.Sprintf("author-%05d", n%10_000),
		CreatedAt: &created, Text: w.text(n), Langs: []string{"en"},
	}
}

// short is a post without an image. There are only so many; each comes back
// under other ids, for millions of them are written.
func (w *writer) short(n int) []byte {
	for i := len(w.shorts); i < len(w.texts); i++ {
		w.shorts = append(w.shorts, w.fit(w.post(i)))
	}
	i := n % len(w.shorts)
	return bytes.Replace(w.shorts[i], []byte(postID(i)), []byte(postID(n)), 1)
}

// fit gives a post the text that makes it textPost bytes long, or a little
// less: JSON writes some letters longer.
func (w *writer) fit(post schemas.Post) []byte {
	for more := 1; len(marshal(post)) < textPost; more++ {
		post.Text += " " + w.text(len(post.Text)+more)
	}
	for {
		value := marshal(post)
		over := len(value) - textPost
		if over <= 0 {
			return value
		}
		runes := []rune(post.Text)
		post.Text = string(runes[:len(runes)-max(1, over/6)])
	}
}

func marshal(post schemas.Post) []byte {
	value, err := json.Marshal(post)
	if err != nil {
		panic(err) // a post has nothing that JSON lacks
	}
	return value
}

const (
	// partitions is how many a topic has, unless their number is what is measured.
	partitions      = 4
	maxMessageBytes = 16 << 20
)

// fill makes a topic with the first n posts of a stream.
func (b *bench) fill(ctx context.Context, topic string, s stream, n int) error {
	b.say("writing %d posts of %s", n, s.Name)
	w, err := newWriter(s, b.photos)
	if err != nil {
		return err
	}
	if err := b.createTopic(ctx, topic); err != nil {
		return err
	}
	return b.produce(ctx, topic, w, n)
}

func (b *bench) produce(ctx context.Context, topic string, w *writer, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchMaxBytes(maxMessageBytes), kgo.MaxBufferedBytes(64<<20), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range n {
		client.Produce(ctx, &kgo.Record{Key: []byte(postID(i)), Value: w.value(i)}, func(_ *kgo.Record, failed error) {
			if failed != nil {
				b.fail(fmt.Errorf("filling topic %s: %w", topic, failed))
			}
		})
	}
	return client.Flush(ctx)
}

func (b *bench) createTopic(ctx context.Context, topic string) error {
	return b.createTopicOf(ctx, topic, partitions)
}

func (b *bench) createTopicOf(ctx context.Context, topic string, partitions int32) error {
	limit := fmt.Sprint(maxMessageBytes)
	_, err := b.admin.CreateTopic(ctx, partitions, 1, map[string]*string{"max.message.bytes": &limit}, topic)
	return err
}

// deleteTopic frees the disk of a topic that is done with.
func (b *bench) deleteTopic(ctx context.Context, topic string) {
	if _, err := b.admin.DeleteTopic(ctx, topic); err != nil {
		b.fail(fmt.Errorf("deleting topic %s: %w", topic, err))
	}
}
