package cluster_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
)

var (
	schedules = flag.Int("schedules", 150, "random schedules of each kind that TestSchedules runs")
	firstSeed = flag.Uint64("first-seed", 1, "seed of the first schedule")
)

// TestSchedules runs workers through kills, zombies, lost and late calls,
// conflicts and rollbacks, and checks that every offset is emitted once and in
// order, that every pair is folded once, and that no deleted post is named any
// more.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for _, rollback := range []bool{false, true} {
		t.Run(fmt.Sprintf("rollback=%t", rollback), func(t *testing.T) {
			t.Parallel()
			hits := map[string]int{}
			for i := range *schedules {
				seed := *firstSeed + uint64(i)
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, seed, rollback)
					w.run()
					w.check(t)
					for k, n := range w.hits {
						hits[k] += n
					}
				})
				if t.Failed() {
					t.Fatalf("seed %d; go test -run TestSchedules -schedules 1 -first-seed %d repeats it", seed, seed)
				}
			}
			// Schedules that never meet what they are for prove nothing.
			want := []string{
				"fold OK", "fold FENCED", "fold DUP", "fold CONFLICT", "fold WAIT", "init OK", "reseed", "kill", "zombie", "named",
			}
			if rollback {
				want = append(want, "rollback", "loss", "restore", "fold BEHIND", "fold NOMODEL")
			}
			if *schedules >= 100 {
				for _, k := range want {
					assert.Positive(t, hits[k], "%s never happened: %v", k, hits)
				}
			}
			for _, k := range slices.Sorted(maps.Keys(hits)) {
				t.Logf("%8d %s", hits[k], k)
			}
		})
	}
}

func (w *world) check(t *testing.T) {
	t.Helper()
	require.Empty(t, w.failure)
	var count, checksum uint64
	events := 0
	live, deleted := map[string]bool{}, map[string]bool{}
	for _, p := range w.parts {
		require.Len(t, p.out, len(p.posts), "outcomes of %s", p.id)
		for i, post := range p.posts {
			require.Equal(t, post.Offset, p.out[i].offset, "outcome %d of %s", i, p.id)
			if deleted[post.ID] = post.Op == schemas.OpDelete; !deleted[post.ID] {
				live[post.ID] = true
			}
			for image, x := range post.Embeddings {
				got := p.out[i].pairs[image]
				if x == nil {
					require.Equal(t, assigned{}, got, "a pair without an embedding")
					continue
				}
				count++
				checksum += schemas.PairChecksum(p.id, post.Offset, int32(image))
				if !w.rolled {
					require.NotEqual(t, string(schemas.ClusterReassigned), got.status)
					require.Equal(t, w.folded[fmt.Sprint(p.id, " ", post.Offset, " ", image)], got.cluster)
				}
			}
		}
		events += p.events
	}
	if !w.rolled {
		require.Equal(t, w.events, events, "events recorded and emitted")
	}
	snap, err := w.store.Snapshot(t.Context())
	require.NoError(t, err)
	named, err := cluster.Named(snap.State, worldDim)
	require.NoError(t, err)
	for _, post := range named {
		require.True(t, live[post], "centroids name %q, which was never sent", post)
		require.False(t, deleted[post], "centroids name %q, which was deleted", post)
		w.hits["named"]++
	}
	for _, p := range snap.Partitions {
		require.NotContains(t, string(p.Last.Record), "posts/", "the record of %s names a post", p.Partition)
	}
	for _, member := range snap.Slots {
		require.NotContains(t, string(member), "posts/", "the sample names a post")
	}
	st, err := w.newProcess().stage.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, count, st.Count, "pairs folded")
	require.Equal(t, checksum, st.Checksum, "checksum of the pairs folded")
	require.LessOrEqual(t, st.Clusters, worldK)
}
