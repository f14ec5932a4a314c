package infer

import (
	"context"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/schemas"
)

// job is one batch on its way through the runs. It holds the batch's tables,
// since a run may outlast the Process call that asked for it, and the memory
// of the columns to come, which runs write to: each its own rows.
type job struct {
	ctx  context.Context // of the Process call
	rows []int           // of Pairs, those that the model is to relate

	posts, pairs arrow.Record
	postOf       *array.Int32
	text         *array.String
	image        *array.FixedSizeList

	dim    int
	length int // of Pairs
	valid  *memory.Buffer
	scores, textRepresented, imageAdds,
	similarity, embedding floats

	mu        sync.Mutex
	left      int // rows that no run has finished
	err       error
	abandoned bool          // the Process call has gone: finish releases
	done      chan struct{} // closed when left is 0
}

// floats is the memory of one column.
type floats struct {
	buf    *memory.Buffer
	values []float32
}

func newFloats(alloc memory.Allocator, n int) floats {
	buf := zeroed(alloc, arrow.Float32Traits.BytesRequired(n))
	return floats{buf: buf, values: arrow.Float32Traits.CastFromBytes(buf.Bytes())}
}

func zeroed(alloc memory.Allocator, bytes int) *memory.Buffer {
	buf := memory.NewResizableBuffer(alloc)
	buf.Resize(bytes)
	memory.Set(buf.Bytes(), 0)
	return buf
}

func newJob(ctx context.Context, b *schemas.Batch, dim int, alloc memory.Allocator) *job {
	n := int(b.Pairs().NumRows())
	j := &job{
		ctx:             ctx,
		posts:           b.Posts(),
		pairs:           b.Pairs(),
		postOf:          schemas.Col[*array.Int32](b.Pairs(), schemas.PairPost),
		text:            schemas.Col[*array.String](b.Posts(), schemas.PostText),
		image:           schemas.Col[*array.FixedSizeList](b.Pairs(), schemas.PairVector),
		dim:             dim,
		length:          n,
		valid:           zeroed(alloc, int(bitutil.BytesForBits(int64(n)))),
		scores:          newFloats(alloc, n*schemas.Relations),
		textRepresented: newFloats(alloc, n),
		imageAdds:       newFloats(alloc, n),
		similarity:      newFloats(alloc, n),
		embedding:       newFloats(alloc, n*dim),
		done:            make(chan struct{}),
	}
	j.posts.Retain()
	j.pairs.Retain()
	failure := schemas.Col[*array.String](j.pairs, schemas.PairFailure)
	for i := range n {
		_, rejected := b.Rejected(int(j.postOf.Value(i)))
		if !rejected && failure.IsNull(i) && j.image.IsValid(i) {
			j.rows = append(j.rows, i)
		}
	}
	j.left = len(j.rows)
	return j
}

// release gives back the tables and the columns' memory, of which columns has
// kept what it needs.
func (j *job) release() {
	j.posts.Release()
	j.pairs.Release()
	j.valid.Release()
	for _, f := range []floats{j.scores, j.textRepresented, j.imageAdds, j.similarity, j.embedding} {
		f.buf.Release()
	}
}

// textAt returns the text of a post, in the batch's memory. A post without text
// has the empty one.
func textAt(texts *array.String, post int) string {
	if texts.IsNull(post) {
		return ""
	}
	return texts.Value(post)
}

// imageAt returns what the image tower made of a row's image, in the batch's
// memory.
func (j *job) imageAt(row int) []float32 {
	first, last := j.image.ValueOffsets(row)
	return j.image.ListValues().(*array.Float32).Float32Values()[first:last]
}

// set writes row i of out to a row of the columns.
func (j *job) set(row int, out model.Output, i int) {
	scores := out.Scores[i*schemas.Relations : (i+1)*schemas.Relations]
	copy(j.scores.values[row*schemas.Relations:], scores)
	j.textRepresented.values[row] = sum(scores, schemas.Relation.TextIsRepresented)
	j.imageAdds.values[row] = sum(scores, schemas.Relation.ImageAdds)
	j.similarity.values[row] = out.Similarity[i]
	copy(j.embedding.values[row*j.dim:(row+1)*j.dim], out.Embedding[i*j.dim:(i+1)*j.dim])
}

// sum adds up the scores of the relations that have a label.
func sum(scores []float32, label func(schemas.Relation) bool) float32 {
	var total float64
	for r, score := range scores {
		if label(schemas.Relation(r)) {
			total += float64(score)
		}
	}
	return float32(min(total, 1))
}

// finish counts rows that a run is done with. Bits of the validity bitmap
// share bytes, so they are set here, under the lock.
func (j *job) finish(rows []int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		for _, row := range rows {
			bitutil.SetBit(j.valid.Bytes(), row)
		}
	} else if j.err == nil {
		j.err = err
	}
	j.left -= len(rows)
	if j.left > 0 {
		return
	}
	close(j.done)
	if j.abandoned {
		j.release()
	}
}

// abandon gives the job up while runs may still read the batch's images and
// write to its columns.
func (j *job) abandon() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.left == 0 {
		j.release()
		return
	}
	j.abandoned = true
}

// columns returns the columns of InferFields.
func (j *job) columns() []arrow.Array {
	return []arrow.Array{
		j.vectors(j.scores, schemas.Relations),
		j.numbers(j.textRepresented),
		j.numbers(j.imageAdds),
		j.numbers(j.similarity),
		j.vectors(j.embedding, j.dim),
	}
}

func (j *job) numbers(f floats) arrow.Array {
	data := array.NewData(arrow.PrimitiveTypes.Float32, j.length, []*memory.Buffer{j.valid, f.buf}, nil, j.nulls(), 0)
	defer data.Release()
	return array.NewFloat32Data(data)
}

func (j *job) vectors(f floats, width int) arrow.Array {
	values := array.NewData(arrow.PrimitiveTypes.Float32, j.length*width, []*memory.Buffer{nil, f.buf}, nil, 0, 0)
	defer values.Release()
	kind := arrow.FixedSizeListOf(int32(width), arrow.PrimitiveTypes.Float32) //nolint:gosec // widths come from a checked bundle
	data := array.NewData(kind, j.length, []*memory.Buffer{j.valid}, []arrow.ArrayData{values}, j.nulls(), 0)
	defer data.Release()
	return array.NewFixedSizeListData(data)
}

func (j *job) nulls() int { return j.length - len(j.rows) }
