package cluster

import (
	"math/rand/v2"
	"time"
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
	for id, r := range set.rows {
		means[id] = r.mean
	}
	return means, nil
}

// BatchKMeans is k-means over everything at once.
func BatchKMeans(xs [][]float32, k int, random *rand.Rand) ([][]float32, error) {
	return kmeans(xs, normsOf(xs), k, random, func() (bool, error) { return true, nil })
}

// SSE sums the squared distances to the nearest mean.
func SSE(xs, means [][]float32) (sum float64) {
	for _, m := range nearestAll(xs, means, normsOf(xs)) {
		sum += float64(m.distance)
	}
	return sum
}

func normsOf(xs [][]float32) []float32 {
	norms := make([]float32, len(xs))
	for i, x := range xs {
		norms[i] = normSquared(x)
	}
	return norms
}
