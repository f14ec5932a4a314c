package infer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

const fakeDim = 3

// fakeEncoder answers with numbers that tell text and image of each pair.
type fakeEncoder struct {
	delay time.Duration
	// err is asked before each call.
	err func(in model.Input) error

	mu    sync.Mutex
	calls []model.Input
	ahead [][]string
	now   int
	most  int // calls that were under way at once
}

func (f *fakeEncoder) Dim() int { return fakeDim }

func (f *fakeEncoder) Read(_ context.Context, texts []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead = append(f.ahead, texts)
	return errors.New("what Encode will say, too")
}

func (f *fakeEncoder) Encode(ctx context.Context, in model.Input) (model.Output, error) {
	f.mu.Lock()
	f.calls = append(f.calls, copyOf(in))
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now--
		f.mu.Unlock()
	}()
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-ctx.Done():
			return model.Output{}, ctx.Err()
		}
	}
	if f.err != nil {
		if err := f.err(in); err != nil {
			return model.Output{}, err
		}
	}
	var out model.Output
	for i, text := range in.Texts {
		row := answer(text, in.Images[i])
		out.Scores = append(out.Scores, row.scores...)
		out.Similarity = append(out.Similarity, row.similarity)
		out.Embedding = append(out.Embedding, row.embedding...)
	}
	return out, nil
}

// copyOf keeps an input beyond the call: its strings and images are borrowed.
func copyOf(in model.Input) model.Input {
	var c model.Input
	for _, t := range in.Texts {
		c.Texts = append(c.Texts, string(append([]byte(nil), t...)))
	}
	for _, i := range in.Images {
		c.Images = append(c.Images, slices.Clone(i))
	}
	return c
}

type answered struct {
	scores     []float32
	similarity float32
	embedding  []float32
}

func answer(text string, image []float32) answered {
	sum := crc32.ChecksumIEEE([]byte(text))
	scores := make([]float32, schemas.Relations)
	for i := range scores {
		scores[(i+int(image[0]))%schemas.Relations] = []float32{.125, .25, .5, .125}[i]
	}
	return answered{scores, image[1] / 256, []float32{float32(sum >> 16), float32(sum & 0xffff), image[2]}}
}

// testPost is one post of a test batch; nil Text is null.
type testPost struct {
	Text     *string
	Rejected bool
	Pairs    []testPair
}

// testPair is one image; its vector derives from Image.
type testPair struct {
	Image  byte
	Failed bool
}

// imageWidth is the length of a vector.
const imageWidth = 4

func (p testPair) vector() []float32 {
	return []float32{float32(p.Image), float32(p.Image * 3), float32(p.Image * 7), 1}
}

func (p testPair) row() string {
	if p.Failed {
		return `{"pair_failure": "corrupt", "pair_failure_detail": "broken"}`
	}
	row := map[string]any{schemas.PairVector: p.vector()}
	data, err := json.Marshal(row)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func newBatch(tb testing.TB, alloc memory.Allocator, posts []testPost) *schemas.Batch {
	tb.Helper()
	var postRows, pairRows, mediaRows []string
	for i, p := range posts {
		data, err := json.Marshal(map[string]any{schemas.PostID: fmt.Sprint(i), schemas.PostText: p.Text})
		require.NoError(tb, err)
		postRows = append(postRows, string(data))
		for j, pair := range p.Pairs {
			pairRows = append(pairRows, fmt.Sprintf(`{"pair_post": %d, "pair_index": %d}`, i, j))
			mediaRows = append(mediaRows, pair.row())
		}
	}
	b := schematest.Decoded(tb, alloc, postRows, pairRows)
	schematest.AddPairs(tb, alloc, b, schemas.MediaFields(imageWidth), mediaRows...)
	for i, p := range posts {
		if p.Rejected {
			b.Reject(i, schemas.Reject{Stage: "media", Reason: schemas.ReasonMediaFailed})
		}
	}
	return b
}

// checkDone says how b differs from what infer must have made of posts.
func checkDone(b *schemas.Batch, posts []testPost) error {
	pairs := b.Pairs()
	if schemas.Has(pairs, schemas.PairVector) {
		return errors.New("the vectors of images are still there")
	}
	scores := schemas.Col[*array.FixedSizeList](pairs, schemas.PairScores)
	embedding := schemas.Col[*array.FixedSizeList](pairs, schemas.PairEmbedding)
	similarity := schemas.Col[*array.Float32](pairs, schemas.PairSimilarity)
	represented := schemas.Col[*array.Float32](pairs, schemas.PairTextRepresented)
	adds := schemas.Col[*array.Float32](pairs, schemas.PairImageAdds)
	nulls, row := 0, 0
	for i, post := range posts {
		for j, pair := range post.Pairs {
			where := fmt.Sprintf("post %d pair %d", i, j)
			if post.Rejected || pair.Failed {
				nulls++
				if scores.IsValid(row) || embedding.IsValid(row) || similarity.IsValid(row) || represented.IsValid(row) || adds.IsValid(row) {
					return fmt.Errorf("%s is not null", where)
				}
				row++
				continue
			}
			text := ""
			if post.Text != nil {
				text = *post.Text
			}
			want := answer(text, pair.vector())
			got := answered{
				scores.ListValues().(*array.Float32).Float32Values()[row*4 : row*4+4],
				similarity.Value(row),
				embedding.ListValues().(*array.Float32).Float32Values()[row*fakeDim : (row+1)*fakeDim],
			}
			if scores.IsNull(row) || embedding.IsNull(row) || fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("%s is %v, want %v", where, got, want)
			}
			if s := want.scores; represented.Value(row) != s[2]+s[3] || adds.Value(row) != s[1]+s[3] {
				return fmt.Errorf("%s has sub-tasks %v and %v of %v", where, represented.Value(row), adds.Value(row), s)
			}
			row++
		}
	}
	if scores.NullN() != nulls || embedding.NullN() != nulls || similarity.NullN() != nulls {
		return fmt.Errorf("%d nulls counted, want %d", scores.NullN(), nulls)
	}
	return nil
}

// checkUntouched says how b differs from a batch that infer has not done.
func checkUntouched(b *schemas.Batch) error {
	if !schemas.Has(b.Pairs(), schemas.PairVector) || schemas.Has(b.Pairs(), schemas.PairScores) {
		return fmt.Errorf("a batch that failed was changed: %v", b.Pairs().Schema())
	}
	return nil
}
