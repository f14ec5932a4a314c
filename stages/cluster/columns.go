package cluster

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// pair is one row of Pairs that has an embedding.
type pair struct {
	row      int // in Pairs
	key      pairKey
	x        []float32 // that row, borrowed
	norm     float32   // ‖x‖²
	label    int       // relation with the highest score; −1 without scores
	post     string    // "" when unknown or too long to keep
	checksum uint64
}

// normTolerance is how far ‖x‖² may be from 1: float16 rounding, no more.
const normTolerance = 1e-2

// readPairs returns the pairs of b that have an embedding, in order, and the
// embeddings of all rows. These are views into the batch.
func readPairs(b *schemas.Batch, dim int) ([]pair, vectors.Matrix, error) {
	none := vectors.Matrix{Dim: dim}
	rec := b.Pairs()
	if rec == nil || rec.NumRows() == 0 {
		return nil, none, nil
	}
	if !schemas.Has(rec, schemas.PairEmbedding) {
		return nil, none, fmt.Errorf("cluster: batch %s %s has pairs but no embeddings: infer must run first", b.Partition, b.Offsets)
	}
	embeddings := schemas.Col[*array.FixedSizeList](rec, schemas.PairEmbedding)
	values, width := floats(embeddings)
	if width != dim {
		return nil, none, fmt.Errorf("cluster: embeddings of width %d where the model has %d", width, dim)
	}
	xs := vectors.Matrix{Values: values, Dim: dim}
	norms := xs.Norms()
	var scores *array.FixedSizeList
	var ps []float32
	if schemas.Has(rec, schemas.PairScores) {
		scores = schemas.Col[*array.FixedSizeList](rec, schemas.PairScores)
		ps, _ = floats(scores)
	}
	var ids *array.String
	if schemas.Has(b.Posts(), schemas.PostID) {
		ids = schemas.Col[*array.String](b.Posts(), schemas.PostID)
	}
	offsets := schemas.Col[*array.Int64](b.Posts(), schemas.RecordOffset)
	posts := schemas.Col[*array.Int32](rec, schemas.PairPost)
	images := schemas.Col[*array.Int32](rec, schemas.PairIndex)

	pairs := make([]pair, 0, rec.NumRows())
	for i := range int(rec.NumRows()) {
		if embeddings.IsNull(i) {
			continue
		}
		post := int(posts.Value(i))
		p := pair{
			row:   i,
			key:   pairKey{offset: offsets.Value(post), image: images.Value(i)},
			x:     xs.At(i),
			norm:  norms[i],
			label: -1,
		}
		if !(math.Abs(float64(p.norm)-1) <= normTolerance) {
			return nil, none, fmt.Errorf("cluster: the embedding of offset %d of %s, image %d, has squared length %g instead of 1: the model bundle or the accelerator is broken",
				p.key.offset, b.Partition, p.key.image, p.norm)
		}
		if scores != nil && !scores.IsNull(i) {
			p.label = argmax(ps[i*schemas.Relations : (i+1)*schemas.Relations])
		}
		if ids != nil && !ids.IsNull(post) && len(ids.Value(post)) <= maxPostID {
			// The value is a view into the batch, which a row outlives.
			p.post = strings.Clone(ids.Value(post))
		}
		p.checksum = schemas.PairChecksum(b.Partition, p.key.offset, p.key.image)
		pairs = append(pairs, p)
	}
	return pairs, xs, nil
}

// floats returns the values of a list column, row after row. ListValues
// ignores where a slice begins, so that is added here.
func floats(col *array.FixedSizeList) (values []float32, width int) {
	width = int(col.DataType().(*arrow.FixedSizeListType).Len())
	all := col.ListValues().(*array.Float32).Float32Values()
	from := col.Data().Offset() * width
	return all[from : from+col.Len()*width], width
}

func argmax(xs []float32) int {
	best := 0
	for i, x := range xs {
		if x > xs[best] {
			best = i
		}
	}
	return best
}

// assignment is what becomes of a pair.
type assignment struct {
	cluster  string // "" while bootstrapping
	status   schemas.ClusterStatus
	distance float32
	novel    bool
	version  int64
}

// addColumns adds ClusterFields: assignments for pairs, null for other rows.
func addColumns(b *schemas.Batch, alloc memory.Allocator, pairs []pair, as []assignment) {
	if b.Pairs() == nil {
		return
	}
	rows := int(b.Pairs().NumRows())
	cluster, status := array.NewStringBuilder(alloc), array.NewStringBuilder(alloc)
	distance, novel := array.NewFloat32Builder(alloc), array.NewBooleanBuilder(alloc)
	version := array.NewInt64Builder(alloc)
	builders := []array.Builder{cluster, status, distance, novel, version}
	for _, bl := range builders {
		defer bl.Release()
		bl.Reserve(rows)
	}
	next := 0
	for row := range rows {
		if next == len(pairs) || pairs[next].row != row {
			for _, bl := range builders {
				bl.AppendNull()
			}
			continue
		}
		a := as[next]
		next++
		status.Append(string(a.status))
		if a.cluster == "" {
			cluster.AppendNull()
			distance.AppendNull()
			novel.AppendNull()
			version.AppendNull()
			continue
		}
		cluster.Append(a.cluster)
		distance.Append(a.distance)
		novel.Append(a.novel)
		version.Append(a.version)
	}
	cols := make([]arrow.Array, len(builders))
	for i, bl := range builders {
		cols[i] = bl.NewArray()
	}
	b.AddPairs(schemas.ClusterFields(), cols)
}
