package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// folded is a store that has folded a few pairs, not enough for centroids.
func folded(t *testing.T) *clustertest.Memory {
	t.Helper()
	store := clustertest.NewMemory(fixedNow)
	c, err := newStage(t, smallConfig(), store, 1).Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: 0, LogEnd: 10})
	require.NoError(t, err)
	m := clustertest.NewMixture(2, dim, 0.1, 1)
	b := clustertest.NewBatch(memory.DefaultAllocator, partition(0), schemas.OffsetRange{First: 0, End: 2}, dim, []clustertest.Post{
		{Offset: 0, ID: "a", Embeddings: [][]float32{m.Draw(0)}}, {Offset: 1, ID: "b", Embeddings: [][]float32{m.Draw(1), nil}},
	})
	defer b.Release()
	require.NoError(t, c.Fold(t.Context(), b))
	return store
}

// TestRestoreHasAnIncarnationOfItsOwn, so that whoever holds the former state,
// or the very state that is restored, claims again.
func TestRestoreHasAnIncarnationOfItsOwn(t *testing.T) {
	t.Parallel()
	store := folded(t)
	snap, err := store.Snapshot(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, cluster.Restore(t.Context(), store, snap, false), cluster.ErrHolds)
	require.NoError(t, cluster.Restore(t.Context(), store, snap, true))
	got, err := store.Snapshot(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, snap.Incarnation, got.Incarnation)
	got.Incarnation = snap.Incarnation
	require.Equal(t, snap, got, "all else is as it was")

	store.Lose()
	require.NoError(t, cluster.Restore(t.Context(), store, snap, false), "into an empty store without being asked to replace")
}

// changing is a store whose state becomes another one just before a restore.
type changing struct{ *clustertest.Memory }

func (c changing) Restore(ctx context.Context, r cluster.RestoreRequest) (bool, error) {
	c.Lose()
	_, err := c.Claim(ctx, cluster.ClaimRequest{Partition: partition(0), Incarnation: "meanwhile"})
	if err != nil {
		return false, err
	}
	return c.Memory.Restore(ctx, r)
}

func TestRestoreReplacesOnlyWhatItHasSeen(t *testing.T) {
	t.Parallel()
	store := folded(t)
	snap, err := store.Snapshot(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, cluster.Restore(t.Context(), changing{store}, snap, true), "another state meanwhile")
	st, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "meanwhile", st.Incarnation)
}

// TestSnapshotsNameNoPosts, and restored ones fold on.
func TestSnapshotsNameNoPosts(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(8, dim, 0.05, 1)
	w := newWorker(t, smallConfig(), store, 0)
	for i := range 100 {
		w.send(partition(0), clustertest.Post{ID: fmt.Sprint("post-", i), Embeddings: [][]float32{m.Draw(i % 8)}})
	}
	require.NotEmpty(t, named(t, store))
	snap, err := store.Snapshot(t.Context())
	require.NoError(t, err)
	var file bytes.Buffer
	origin := cluster.Origin{Namespace: "n", ModelDigest: "d", Dim: dim, Taken: fixedNow()}
	require.NoError(t, cluster.WriteSnapshot(&file, origin, snap))
	require.NotEmpty(t, named(t, store), "the store keeps them")
	_, snap, err = cluster.ReadSnapshot(&file)
	require.NoError(t, err)
	held, err := json.Marshal(snap)
	require.NoError(t, err)
	require.NotContains(t, string(held), "post-")
	for _, v := range snap.Rows {
		require.NotContains(t, string(v), "post-")
	}

	store.Lose()
	require.NoError(t, cluster.Restore(t.Context(), store, snap, false))
	require.Empty(t, named(t, store))
	next := newWorker(t, smallConfig(), store, 0)
	require.Equal(t, int64(100), next.claim.Cursor())
	next.send(partition(0), clustertest.Post{ID: "post-100", Embeddings: [][]float32{m.Draw(0)}})
	require.Equal(t, []string{"post-100"}, named(t, store))
	totals, err := next.stage.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(101), totals.Count)
}

func FuzzReadSnapshot(f *testing.F) {
	store := clustertest.NewMemory(fixedNow)
	_, err := store.Claim(f.Context(), cluster.ClaimRequest{Partition: partition(3), Incarnation: "x", Base: 1, Floor: 5})
	require.NoError(f, err)
	snap, err := store.Snapshot(f.Context())
	require.NoError(f, err)
	var whole bytes.Buffer
	require.NoError(f, cluster.WriteSnapshot(&whole, cluster.Origin{Namespace: "n", ModelDigest: "d", Dim: dim, Taken: fixedNow()}, snap))
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()/2])
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		origin, snap, err := cluster.ReadSnapshot(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		require.NoError(t, cluster.WriteSnapshot(&again, origin, snap))
		origin2, snap2, err := cluster.ReadSnapshot(&again)
		require.NoError(t, err)
		require.Equal(t, origin, origin2)
		require.Equal(t, snap, snap2)
	})
}
