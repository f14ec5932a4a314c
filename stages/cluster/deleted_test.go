package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// send folds posts that stand at the cursor and after it, one an offset.
func (w *worker) send(p schemas.Partition, posts ...clustertest.Post) *schemas.Batch {
	w.t.Helper()
	b := w.batch(p, posts...)
	require.NoError(w.t, w.claim.Fold(w.t.Context(), b))
	return b
}

func (w *worker) batch(p schemas.Partition, posts ...clustertest.Post) *schemas.Batch {
	first := w.claim.Cursor()
	for i := range posts {
		posts[i].Offset = first + int64(i)
	}
	span := schemas.OffsetRange{First: first, End: first + int64(len(posts))}
	return clustertest.NewBatch(memory.DefaultAllocator, p, span, dim, posts)
}

func remove(id string) clustertest.Post { return clustertest.Post{ID: id, Op: schemas.OpDelete} }

func named(tb testing.TB, store cluster.CentroidStore) []string {
	tb.Helper()
	st, err := store.Load(tb.Context())
	require.NoError(tb, err)
	posts, err := cluster.Named(st, dim)
	require.NoError(tb, err)
	return posts
}

// TestDeletedPostsLeave deletes the posts that centroids name, one after the
// other, and finds nothing else changed: not a mean, not a count, not another
// row's tag.
func TestDeletedPostsLeave(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	w := newWorker(t, smallConfig(), store, 0)
	for i := range 200 {
		x, _ := m.Any()
		w.send(partition(0), clustertest.Post{ID: fmt.Sprintf("post-%03d", i), Embeddings: [][]float32{x}})
	}
	posts := named(t, store)
	require.Len(t, posts, 8*3)
	for i, post := range posts {
		before, err := store.Load(t.Context())
		require.NoError(t, err)
		means, err := cluster.MeansOf(before, dim)
		require.NoError(t, err)
		totals, err := w.stage.Totals(t.Context())
		require.NoError(t, err)

		b := w.send(partition(0), remove("unknown"), remove(post))
		require.Empty(t, b.Events, "a delete is nothing to report")
		require.ElementsMatch(t, posts[i+1:], named(t, store))
		after, err := store.Load(t.Context())
		require.NoError(t, err)
		changed := 0
		for id, row := range after.Rows {
			if !bytes.Equal(row, before.Rows[id]) {
				changed++
				require.NotEqual(t, before.Rows[id][:cluster.TagSize], row[:cluster.TagSize], "a changed row has a tag of its own")
			}
		}
		require.Equal(t, 1, changed)
		meansNow, err := cluster.MeansOf(after, dim)
		require.NoError(t, err)
		require.Equal(t, means, meansNow)
		now, err := w.stage.Totals(t.Context())
		require.NoError(t, err)
		totals.Version++
		require.Equal(t, totals, now)
	}
}

// TestDeletedPostComesAgain in the same batch, before and after its delete.
func TestDeletedPostComesAgain(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	w := newWorker(t, smallConfig(), store, 0)
	for i := range 80 {
		w.send(partition(0), clustertest.Post{Embeddings: [][]float32{m.Draw(i % 8)}})
	}
	post := func(id string) clustertest.Post {
		return clustertest.Post{ID: id, Embeddings: [][]float32{m.Draw(0)}}
	}
	b := w.send(partition(0), post("gone"), post("back"), remove("gone"), remove("back"), post("back"))
	require.Equal(t, []string{"back"}, named(t, store))
	for _, e := range b.Events {
		require.NotContains(t, e.Representatives, "gone")
	}
}

// TestDeletedPostOfARetiredCentroid deletes what a centroid names in the very
// batch that retires it: it does not come back for being stripped.
func TestDeletedPostOfARetiredCentroid(t *testing.T) {
	t.Parallel()
	config := smallConfig()
	config.HalfLife = 10
	// run returns the batch that retires the first centroid; batch deleteAt
	// deletes all that is named.
	run := func(deleteAt int) int {
		store := clustertest.NewMemory(fixedNow)
		m := clustertest.NewMixture(8, dim, 0.02, 1)
		w := newWorker(t, config, store, 0)
		for i := range 80 {
			w.send(partition(0), clustertest.Post{ID: fmt.Sprint("post-", i), Embeddings: [][]float32{m.Draw(i % 8)}})
		}
		for i := range 400 {
			posts := []clustertest.Post{{Embeddings: [][]float32{m.Draw(i % 5)}}}
			if i == deleteAt {
				for _, post := range named(t, store) {
					posts = append(posts, remove(post))
				}
				require.Greater(t, len(posts), 1)
			}
			for _, e := range w.send(partition(0), posts...).Events {
				if e.Type != "retired" {
					continue
				}
				st, err := store.Load(t.Context())
				require.NoError(t, err)
				require.NotContains(t, st.Rows, e.Cluster)
				return i
			}
		}
		t.Fatal("nothing was retired")
		return 0
	}
	at := run(-1)
	require.Equal(t, at, run(at))
}

// TestDeletedPostOfAnotherPartition was named by another process: whoever
// deletes it sees that, when he has not looked for a second.
func TestDeletedPostOfAnotherPartition(t *testing.T) {
	t.Parallel()
	now := epoch
	store := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	one := newWorker(t, smallConfig(), store, 0)
	for i := range 80 {
		one.send(partition(0), clustertest.Post{Embeddings: [][]float32{m.Draw(i % 8)}})
	}
	s, err := cluster.New(smallConfig(), cluster.Settings{
		Store: store, Namespace: "test", ModelDigest: "sha256:0", Dim: dim, Now: func() time.Time { return now }, Rand: seeded(9),
	})
	require.NoError(t, err)
	claim, err := s.Claim(t.Context(), partition(1), cluster.Position{Base: -1, Committed: -1, LogEnd: 1 << 40})
	require.NoError(t, err)
	other := &worker{t: t, stage: s, claim: claim}
	other.send(partition(1), clustertest.Post{Embeddings: [][]float32{m.Draw(1)}})

	one.send(partition(0), clustertest.Post{ID: "p", Embeddings: [][]float32{m.Draw(0)}})
	require.Equal(t, []string{"p"}, named(t, store))
	now = now.Add(time.Second)
	other.send(partition(1), remove("p"))
	require.Empty(t, named(t, store))
}

// losing is a store whose next reply to a fold is lost.
type losing struct {
	*clustertest.Memory
	lose bool
}

func (l *losing) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	reply, err := l.Memory.Fold(ctx, r)
	if l.lose {
		l.lose = false
		return cluster.FoldReply{}, &stages.Transient{Err: errors.New("reply lost")}
	}
	return reply, err
}

// TestRecordsNameNoPosts crashes between fold and commit: the states that are
// reported name the posts that the centroids name by then.
func TestRecordsNameNoPosts(t *testing.T) {
	t.Parallel()
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	for name, again := range map[string]func(t *testing.T, w *worker, store cluster.CentroidStore, b *schemas.Batch) error{
		"lost reply": func(t *testing.T, w *worker, _ cluster.CentroidStore, b *schemas.Batch) error {
			t.Helper()
			return w.claim.Fold(t.Context(), b)
		},
		"next owner": func(t *testing.T, _ *worker, store cluster.CentroidStore, b *schemas.Batch) error {
			t.Helper()
			next := newStage(t, smallConfig(), store, 7)
			c, err := next.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: b.Offsets.First, LogEnd: 1 << 40})
			require.NoError(t, err)
			return c.Recall(t.Context(), b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &losing{Memory: clustertest.NewMemory(fixedNow)}
			w := newWorker(t, smallConfig(), store, 0)
			for i := range 80 {
				w.send(partition(0), clustertest.Post{ID: fmt.Sprintf("post-%d", i), Embeddings: [][]float32{m.Draw(i % 8)}})
			}
			b := w.batch(partition(0), clustertest.Post{ID: "post-x", Embeddings: [][]float32{m.Draw(0)}}, remove("post-79"))
			store.lose = true
			require.Error(t, w.claim.Fold(t.Context(), b))
			snap, err := store.Snapshot(t.Context())
			require.NoError(t, err)
			require.NotContains(t, string(snap.Partitions[0].Last.Record), "post-")
			require.NoError(t, again(t, w, store, b))
			require.Len(t, b.Events, 1)
			require.Equal(t, "state", b.Events[0].Type)
			require.Contains(t, b.Events[0].Representatives, "post-x")
			require.Subset(t, named(t, store), b.Events[0].Representatives)
		})
	}
}

// TestDeletesOfManyPartitions folds any order of posts and deletes, on any
// partition, by any of two processes that take partitions over from each
// other: no centroid names what its partition has deleted.
func TestDeletesOfManyPartitions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		store := clustertest.NewMemory(fixedNow)
		m := clustertest.NewMixture(4, dim, 0.05, 3)
		config := smallConfig()
		config.K, config.Bootstrap = 3, 6
		processes := []*cluster.Stage{newStage(t, config, store, 1), newStage(t, config, store, 2)}
		workers := make([]*worker, 2)
		deleted := map[string]bool{}
		for range rapid.IntRange(5, 60).Draw(rt, "batches") {
			id := rapid.IntRange(0, 1).Draw(rt, "partition")
			if workers[id] == nil || rapid.IntRange(0, 5).Draw(rt, "take over") == 0 {
				s := processes[rapid.IntRange(0, 1).Draw(rt, "process")]
				c, err := s.Claim(t.Context(), partition(int32(id)), cluster.Position{Base: -1, Committed: -1, LogEnd: 1 << 40})
				require.NoError(rt, err)
				workers[id] = &worker{t: t, stage: s, claim: c}
			}
			var posts []clustertest.Post
			for range rapid.IntRange(1, 5).Draw(rt, "posts") {
				post := clustertest.Post{ID: fmt.Sprintf("%d/%d", id, rapid.IntRange(0, 8).Draw(rt, "id"))}
				if rapid.IntRange(0, 2).Draw(rt, "op") == 0 {
					post.Op = schemas.OpDelete
				} else {
					post.Embeddings = [][]float32{m.Draw(rapid.IntRange(0, 3).Draw(rt, "component"))}
				}
				deleted[post.ID] = post.Op == schemas.OpDelete
				posts = append(posts, post)
			}
			workers[id].send(partition(int32(id)), posts...).Release()
			for _, post := range named(t, store) {
				require.False(rt, deleted[post], "%s is deleted", post)
			}
		}
	})
}
