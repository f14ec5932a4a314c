package clustertest

import (
	"context"
	"maps"
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

// Filled returns a state with a centroid at each of the centres, without the
// k-means that would take minutes for many: a few at a time are the sample of a
// stage that makes as many centroids as it has pairs. No partition is claimed.
func Filled(ctx context.Context, centres [][]float32) (cluster.Snapshot, error) {
	const few = 200
	var all cluster.Snapshot
	for from := 0; from < len(centres); from += few {
		part, err := bootstrapped(ctx, centres[from:min(from+few, len(centres))])
		if err != nil {
			return all, err
		}
		if from == 0 {
			all = part
			continue
		}
		maps.Copy(all.Rows, part.Rows)
		all.Pairs += part.Pairs
	}
	all.Partitions = nil
	return all, nil
}

// bootstrapped makes a centroid of each centre: the fold after the sample is
// full installs them.
func bootstrapped(ctx context.Context, centres [][]float32) (cluster.Snapshot, error) {
	dim, n := len(centres[0]), int64(len(centres))
	now := func() time.Time { return time.Unix(0, 0) }
	store := NewMemory(now)
	c := cluster.DefaultConfig()
	c.K, c.Bootstrap = len(centres), len(centres)
	s, err := cluster.New(c, cluster.Settings{Store: store, Dim: dim, Now: now})
	if err != nil {
		return cluster.Snapshot{}, err
	}
	p := schemas.Partition{Topic: "posts"}
	claim, err := s.Claim(ctx, p, cluster.Position{Base: -1, Committed: -1, LogEnd: math.MaxInt64})
	if err != nil {
		return cluster.Snapshot{}, err
	}
	var posts []Post
	for i, x := range centres {
		posts = append(posts, Post{Offset: int64(i), Embeddings: [][]float32{x}})
	}
	for _, b := range []*schemas.Batch{
		NewBatch(memory.DefaultAllocator, p, schemas.OffsetRange{First: 0, End: n}, dim, posts),
		NewBatch(memory.DefaultAllocator, p, schemas.OffsetRange{First: n, End: n + 1}, dim, nil),
	} {
		defer b.Release()
		if err := claim.Fold(ctx, b); err != nil {
			return cluster.Snapshot{}, err
		}
	}
	return store.Snapshot(ctx)
}
