package cluster

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// Folded is what a record says of one pair.
type Folded struct {
	Offset  int64
	Image   int32
	Cluster string
}

// FoldedOf decodes a record for tests of the protocol.
func FoldedOf(r Recorded) (pairs []Folded, events int, err error) {
	rec, err := decodeRecord(r)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range rec.entries {
		pairs = append(pairs, Folded{Offset: e.key.offset, Image: e.key.image, Cluster: e.cluster})
	}
	return pairs, len(rec.events), nil
}

// MeansOf decodes the means of a store's state.
func MeansOf(st State, dim int) (map[string][]float32, error) {
	set, err := decodeState(st, dim, time.Time{})
	if err != nil {
		return nil, err
	}
	means := make(map[string][]float32, len(set.rows))
	for i, r := range set.rows {
		means[set.ids[i]] = r.mean
	}
	return means, nil
}

// BatchKMeans is k-means over everything at once.
func BatchKMeans(xs [][]float32, k int, random *rand.Rand) ([][]float32, error) {
	m := matrixOf(xs)
	return kmeans(m, m.Norms(), k, random, func() (bool, error) { return true, nil })
}

// SSE sums the squared distances to the nearest mean.
func SSE(xs, means [][]float32) (sum float64) {
	m := matrixOf(xs)
	norms := m.Norms()
	for i, n := range nearestAll(m, means) {
		sum += float64(distance(norms[i], n.Score))
	}
	return sum
}

func matrixOf(xs [][]float32) vectors.Matrix {
	return vectors.Matrix{Values: slices.Concat(xs...), Dim: len(xs[0])}
}
