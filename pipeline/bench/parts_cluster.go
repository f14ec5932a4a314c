package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

const (
	pointsDim   = 768
	pointsBatch = 256
	pointsCount = 40 * pointsBatch // scikit-learn wants as many as it makes clusters of
)

// clusterings folds the same points as scikit-learn and River, which keep their
// centroids to themselves: ours, too, stay in memory here. Fold also keeps
// counts, checksums and the assignments for a crash.
func (b *bench) clusterings(ctx context.Context) error {
	for _, k := range []int{4, 64, 1000, 10_000} {
		b.say("clustering, k=%d", k)
		mixture := clustertest.NewMixture(k, pointsDim, 0.01, 1)
		points := make([][]float32, pointsCount)
		var raw bytes.Buffer
		for i := range points {
			points[i], _ = mixture.Any()
			if err := binary.Write(&raw, binary.LittleEndian, points[i]); err != nil {
				return err
			}
		}
		file := filepath.Join(b.dir, "points.f32")
		if err := os.WriteFile(file, raw.Bytes(), 0o600); err != nil {
			return err
		}
		ours, err := foldRate(ctx, mixture.Centres, points)
		if err != nil {
			return err
		}
		for _, peer := range []struct {
			name, command string
			goal          goal
		}{{"sklearn partial_fit and predict", "sklearn", goal{atLeast: 1}}, {"River STREAMKMeans", "river", goal{atLeast: 1000}}} {
			if k >= 1000 && peer.command == "river" {
				continue // minutes for a handful of points
			}
			want := peer.goal
			if k != 64 && peer.command == "river" {
				want = goal{}
			}
			other, err := b.timePython(ctx, peer.command, fmt.Sprint(k), fmt.Sprint(pointsDim), file)
			if err != nil {
				return err
			}
			b.table.add(about{partOfParts, fmt.Sprintf("assign and fold, k=%d ÷ %s", k, peer.name), "points/s", want, "per core, centroids in memory"}, ours, other)
		}
	}
	return nil
}

// foldRate is how many points a second of processor time Fold takes.
func foldRate(ctx context.Context, centres, points [][]float32) (float64, error) {
	store := clustertest.NewMemory(time.Now)
	snapshot, err := clustertest.Filled(ctx, centres)
	if err != nil {
		return 0, err
	}
	if err := cluster.Restore(ctx, store, snapshot, false); err != nil {
		return 0, err
	}
	config := cluster.DefaultConfig()
	config.K = len(centres)
	stage, err := cluster.New(config, cluster.Settings{
		Store: store, Namespace: "bench", ModelDigest: "bench", Dim: pointsDim, Now: time.Now, Alloc: memory.DefaultAllocator,
	})
	if err != nil {
		return 0, err
	}
	p := schemas.Partition{Topic: "posts"}
	claim, err := stage.Claim(ctx, p, cluster.Position{Base: -1, Committed: -1, LogEnd: math.MaxInt64})
	if err != nil {
		return 0, err
	}
	var spent time.Duration
	fold := func() error {
		var posts []clustertest.Post
		from := claim.Cursor()
		for o := from; o < from+pointsBatch; o++ {
			posts = append(posts, clustertest.Post{Offset: o, ID: "post", Embeddings: [][]float32{points[o%pointsCount]}})
		}
		batch := clustertest.NewBatch(memory.DefaultAllocator, p, schemas.OffsetRange{First: from, End: from + pointsBatch}, pointsDim, posts)
		defer batch.Release()
		before := processorTime()
		err := claim.Fold(ctx, batch)
		spent += processorTime() - before
		return err
	}
	for range 4 {
		if err := fold(); err != nil {
			return 0, err
		}
	}
	spent = 0
	n := 0
	for began := time.Now(); spent < time.Second && time.Since(began) < 10*time.Second; n += pointsBatch {
		if err := fold(); err != nil {
			return 0, err
		}
	}
	return float64(n) / spent.Seconds(), nil
}
