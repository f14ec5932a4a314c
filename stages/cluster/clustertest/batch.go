package clustertest

import (
	"cmp"
	"math"
	"math/rand/v2"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
)

// Post is one record of a batch and its pairs. A nil embedding is a pair that
// failed. Op is a create where it is empty.
type Post struct {
	Offset     int64
	Op         schemas.Op
	ID         string
	Label      schemas.Relation
	Embeddings [][]float32
}

// NewBatch returns a batch as infer leaves it, with the columns that the
// cluster stage reads. dim is the width of the embeddings.
func NewBatch(alloc memory.Allocator, p schemas.Partition, span schemas.OffsetRange, dim int, posts []Post) *schemas.Batch {
	offsets, ops, ids := array.NewInt64Builder(alloc), array.NewStringBuilder(alloc), array.NewStringBuilder(alloc)
	post, index := array.NewInt32Builder(alloc), array.NewInt32Builder(alloc)
	scores := array.NewFixedSizeListBuilder(alloc, schemas.Relations, arrow.PrimitiveTypes.Float32)
	xs := array.NewFixedSizeListBuilder(alloc, int32(dim), arrow.PrimitiveTypes.Float32)
	for _, b := range []array.Builder{offsets, ops, ids, post, index, scores, xs} {
		defer b.Release()
	}
	score, x := scores.ValueBuilder().(*array.Float32Builder), xs.ValueBuilder().(*array.Float32Builder)
	for row, r := range posts {
		offsets.Append(r.Offset)
		ops.Append(string(cmp.Or(r.Op, schemas.OpCreate)))
		ids.Append(r.ID)
		for i, e := range r.Embeddings {
			post.Append(int32(row))
			index.Append(int32(i))
			scores.Append(e != nil)
			xs.Append(e != nil)
			if e == nil {
				score.AppendValues(make([]float32, schemas.Relations), nil)
				x.AppendValues(make([]float32, dim), nil)
				continue
			}
			for l := range schemas.Relations {
				if l == int(r.Label) {
					score.Append(0.7)
				} else {
					score.Append(0.1)
				}
			}
			x.AppendValues(e, nil)
		}
	}
	b := schemas.NewBatch(p, span, table(
		[]arrow.Field{
			{Name: schemas.RecordOffset, Type: arrow.PrimitiveTypes.Int64},
			{Name: schemas.PostOp, Type: arrow.BinaryTypes.String},
			{Name: schemas.PostID, Type: arrow.BinaryTypes.String},
		},
		offsets, ops, ids))
	fields := append(schemas.PairFields()[:2:2], schemas.InferFields(dim)[0], schemas.InferFields(dim)[4])
	b.SetPairs(table(fields, post, index, scores, xs))
	return b
}

func table(fields []arrow.Field, builders ...array.Builder) arrow.Record {
	cols := make([]arrow.Array, len(builders))
	for i, b := range builders {
		cols[i] = b.NewArray()
		defer cols[i].Release()
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), cols, int64(cols[0].Len()))
}

// Mixture draws unit vectors around centres. Its zero value is not usable.
type Mixture struct {
	Centres [][]float32
	Spread  float64 // standard deviation per dimension, before normalising
	Random  *rand.Rand
}

// NewMixture returns a mixture of k random centres.
func NewMixture(k, dim int, spread float64, seed uint64) *Mixture {
	m := &Mixture{Spread: spread, Random: rand.New(rand.NewPCG(seed, 1))}
	for range k {
		m.Centres = append(m.Centres, m.Unit(make([]float32, dim), 1))
	}
	return m
}

// Draw returns a vector near the centre of a component.
func (m *Mixture) Draw(component int) []float32 { return m.Unit(m.Centres[component], m.Spread) }

// Any returns a vector of a random component, and which.
func (m *Mixture) Any() (x []float32, component int) {
	component = m.Random.IntN(len(m.Centres))
	return m.Draw(component), component
}

// Unit returns centre plus noise, normalised.
func (m *Mixture) Unit(centre []float32, spread float64) []float32 {
	x := make([]float32, len(centre))
	var sum float64
	for i := range x {
		v := float64(centre[i]) + spread*m.Random.NormFloat64()
		x[i] = float32(v)
		sum += v * v
	}
	for i := range x {
		x[i] = float32(float64(x[i]) / math.Sqrt(sum))
	}
	return x
}
