package cluster_test

import (
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// TestClaimPositions goes through what Kafka may say, with and without a
// former cursor in the store.
func TestClaimPositions(t *testing.T) {
	t.Parallel()
	config := smallConfig()
	config.MaxRefold = 30
	for name, tc := range map[string]struct {
		folded             [2]int64 // what an earlier worker folded, from its base; none when empty
		at                 cluster.Position
		cursor, base, from int64
		gap                schemas.OffsetRange
		err                string
	}{
		"nobody was here": {
			at: cluster.Position{Base: -1, Committed: -1, Start: 7, LogEnd: 100}, cursor: 7, base: 7, from: 7,
		},
		"a new bundle begins at the group's offset": {
			at: cluster.Position{Base: -1, Committed: 40, LogEnd: 100}, cursor: 40, base: 40, from: 40,
		},
		"the store is lost": {
			at: cluster.Position{Base: 20, Committed: 40, LogEnd: 100}, cursor: 20, base: 20, from: 40,
		},
		"the store is lost, and so is part of the log": {
			at:     cluster.Position{Base: 20, Committed: 40, LogStart: 25, LogEnd: 100},
			cursor: 25, base: 20, from: 40, gap: schemas.OffsetRange{First: 20, End: 25},
		},
		"the base is further back than max_refold": {
			at:     cluster.Position{Base: 5, Committed: 90, LogEnd: 100},
			cursor: 60, base: 5, from: 90, gap: schemas.OffsetRange{First: 5, End: 60},
		},
		"folded and committed": {
			folded: [2]int64{10, 50},
			at:     cluster.Position{Base: 10, Committed: 50, LogEnd: 100}, cursor: 50, base: 10, from: 50,
		},
		"folded, not committed": {
			folded: [2]int64{10, 50},
			at:     cluster.Position{Base: 10, Committed: 30, LogEnd: 100}, cursor: 50, base: 10, from: 30,
		},
		"the first batch was not committed, and latest has moved on": {
			folded: [2]int64{10, 50},
			at:     cluster.Position{Base: -1, Committed: -1, Start: 80, LogEnd: 80}, cursor: 50, base: 10, from: 10,
		},
		"the group is deleted and begins at the earliest": {
			folded: [2]int64{10, 50},
			at:     cluster.Position{Base: -1, Committed: -1, Start: 0, LogEnd: 100}, cursor: 50, base: 10, from: 0,
		},
		"the group is deleted and the log has moved on": {
			folded: [2]int64{10, 50},
			at:     cluster.Position{Base: -1, Committed: -1, Start: 60, LogStart: 60, LogEnd: 100},
			cursor: 60, base: 10, from: 60, gap: schemas.OffsetRange{First: 50, End: 60},
		},
		"posts were deleted unread": {
			at: cluster.Position{Base: -1, Committed: 10, LogStart: 11, LogEnd: 100}, err: "posts were deleted before they were read",
		},
		"the topic is a new one": {
			at: cluster.Position{Base: -1, Committed: 101, LogEnd: 100}, err: "recreated",
		},
		"the topic is a new one, says the base": {
			at: cluster.Position{Base: 101, Committed: 50, LogEnd: 100}, err: "recreated",
		},
		"the topic is a new one, says the store": {
			folded: [2]int64{10, 50},
			at:     cluster.Position{Base: -1, Committed: -1, LogEnd: 49}, err: "hold everything up to offset 50 of posts/0, but its log ends at 49",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := clustertest.NewMemory(fixedNow)
			s := newStage(t, config, store, 1)
			if tc.folded[1] > 0 {
				c, err := s.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: tc.folded[0], LogEnd: 100})
				require.NoError(t, err)
				require.NoError(t, c.Fold(t.Context(), empty(tc.folded[0], tc.folded[1])))
			}
			c, err := s.Claim(t.Context(), partition(0), tc.at)
			if errors.Is(err, cluster.ErrClaimAgain) && tc.err != "" {
				c, err = s.Claim(t.Context(), partition(0), tc.at)
			}
			if tc.err != "" {
				require.NotErrorIs(t, err, cluster.ErrClaimAgain)
				require.ErrorContains(t, err, tc.err)
				var away *stages.Transient
				require.False(t, errors.As(err, &away))
				if tc.folded[1] == 0 {
					_, _, touched, err := store.Cursor(t.Context(), partition(0))
					require.NoError(t, err)
					require.False(t, touched, "a store that cannot be right is left alone")
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, []int64{tc.cursor, tc.base, tc.from}, []int64{c.Cursor(), c.Base(), c.From()}, "cursor, base, from")
			gap, ok := c.Gap()
			require.Equal(t, tc.gap, gap)
			require.Equal(t, tc.gap != schemas.OffsetRange{}, ok)
		})
	}
}

// TestLogGrowsMeanwhile reads the log's end, and then its former owner folds
// what has arrived since: no reason to stop.
func TestLogGrowsMeanwhile(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	old, next := newStage(t, smallConfig(), store, 1), newStage(t, smallConfig(), store, 2)
	c, err := old.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: 5, LogEnd: 10})
	require.NoError(t, err)
	for end := int64(10); end < 40; end += 10 {
		require.NoError(t, c.Fold(t.Context(), empty(c.Cursor(), end+1)))
		_, err = next.Claim(t.Context(), partition(0), cluster.Position{Base: 5, Committed: 5, LogEnd: end})
		require.ErrorIs(t, err, cluster.ErrClaimAgain)
		c, err = next.Claim(t.Context(), partition(0), cluster.Position{Base: 5, Committed: 5, LogEnd: end + 1})
		require.NoError(t, err)
	}
}

// empty is a batch of a range without records.
func empty(from, to int64) *schemas.Batch {
	return clustertest.NewBatch(memory.DefaultAllocator, partition(0), schemas.OffsetRange{First: from, End: to}, dim, nil)
}

func TestFoldRefusesOtherBatches(t *testing.T) {
	t.Parallel()
	s := newStage(t, smallConfig(), clustertest.NewMemory(fixedNow), 1)
	c, err := s.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: 5, LogEnd: 100})
	require.NoError(t, err)
	for _, b := range []*schemas.Batch{empty(4, 9), empty(6, 9), empty(5, 5)} {
		require.ErrorContains(t, c.Fold(t.Context(), b), "with the cursor of posts/0 at 5")
	}
	other := clustertest.NewBatch(memory.DefaultAllocator, partition(1), schemas.OffsetRange{First: 5, End: 6}, dim, nil)
	require.ErrorContains(t, c.Fold(t.Context(), other), "fold posts/1 [5,6)")
	require.ErrorContains(t, c.Recall(t.Context(), empty(0, 6)), "with the cursor of posts/0 at 5")
	require.NoError(t, c.Fold(t.Context(), empty(5, 9)))
	require.Equal(t, int64(9), c.Cursor())
}

// once is a store whose next fold is done, but nobody hears of it.
type once struct {
	cluster.CentroidStore
	lose bool
}

func (o *once) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	reply, err := o.CentroidStore.Fold(ctx, r)
	if o.lose {
		o.lose = false
		return cluster.FoldReply{}, &stages.Transient{Err: errors.New("reply lost")}
	}
	return reply, err
}

// TestLostReply repeats a fold whose first reply was lost after the centroids
// have moved on: what was recorded counts, also in what is reported.
func TestLostReply(t *testing.T) {
	t.Parallel()
	m := clustertest.NewMixture(8, dim, 0.1, 2)
	store := &once{CentroidStore: clustertest.NewMemory(fixedNow)}
	mine, theirs := newStage(t, smallConfig(), store, 1), newStage(t, smallConfig(), store.CentroidStore, 2)
	f, g := newFeed(m, partition(0), 120), newFeed(m, partition(1), 300)
	f.xs = f.xs[:100]
	f.foldAll(t.Context(), t, mine, 50, nil)
	f.xs = f.xs[:120:120]

	c, err := mine.Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	b := f.batch(memory.DefaultAllocator, 100, 120)
	store.lose = true
	var away *stages.Transient
	require.ErrorAs(t, c.Fold(t.Context(), b), &away)
	require.False(t, schemas.Has(b.Pairs(), schemas.PairCluster), "a failed fold adds nothing")
	require.Equal(t, int64(100), c.Cursor())

	g.foldAll(t.Context(), t, theirs, 300, nil)
	require.NoError(t, c.Fold(t.Context(), b))
	require.Equal(t, int64(120), c.Cursor())

	again, err := mine.Claim(t.Context(), f.partition, f.position(100))
	require.NoError(t, err)
	recalled := f.batch(memory.DefaultAllocator, 100, 120)
	require.NoError(t, again.Recall(t.Context(), recalled))
	require.Equal(t, columns(recalled), columns(b))
	require.Equal(t, recalled.Events, b.Events)
	require.NotEmpty(t, b.Events)

	got, err := mine.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(420), got.Count)
}

// TestRecall asks for what a fold concluded: whole, in parts, and beyond what
// is recorded.
func TestRecall(t *testing.T) {
	t.Parallel()
	s := newStage(t, smallConfig(), clustertest.NewMemory(fixedNow), 1)
	f := newFeed(clustertest.NewMixture(8, dim, 0.1, 3), partition(0), 200)
	var folded []assigned
	var events []schemas.ClusterEvent
	f.foldAll(t.Context(), t, s, 40, func(b *schemas.Batch) {
		folded = append(folded, columns(b)...)
		events = b.Events
	})
	c, err := s.Claim(t.Context(), f.partition, f.position(150))
	require.NoError(t, err)
	require.Equal(t, int64(200), c.Cursor())

	for _, part := range [][2]int64{{150, 170}, {170, 199}, {199, 200}} {
		b := f.batch(memory.DefaultAllocator, part[0], part[1])
		require.NoError(t, c.Recall(t.Context(), b))
		for i, a := range columns(b) {
			o := part[0] + int64(i)
			if o >= 160 {
				require.Equal(t, folded[o], a, "offset %d", o)
				continue
			}
			require.Equal(t, string(schemas.ClusterReassigned), a.status, "offset %d", o)
			require.NotEmpty(t, a.cluster)
		}
		if part[1] == 200 {
			require.Equal(t, events, b.Events)
		} else {
			require.Empty(t, b.Events, "reported with the last offset, and only then")
		}
	}
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(200), got.Count, "recalling folds nothing")
}

// TestDuplicateOfAnotherBatch is a store that went back in time and gave two
// workers the same token: the second finds offsets folded in other batches.
func TestDuplicateOfAnotherBatch(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	f := newFeed(clustertest.NewMixture(8, dim, 0.1, 3), partition(0), 40)
	before := store.Save()
	at := cluster.Position{Base: 0, Committed: 0, LogEnd: 40}
	first, err := newStage(t, smallConfig(), store, 1).Claim(t.Context(), f.partition, at)
	require.NoError(t, err)
	before()
	// The same incarnation, as a rollback to a moment after it was named.
	second, err := newStage(t, smallConfig(), store, 1).Claim(t.Context(), f.partition, at)
	require.NoError(t, err)
	require.NoError(t, second.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 20)))
	require.ErrorIs(t, first.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 10)), cluster.ErrClaimAgain)
	require.ErrorIs(t, first.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 30)), cluster.ErrClaimAgain)
	require.NoError(t, first.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 20)), "the very same batch")
}

func TestFenced(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	f := newFeed(clustertest.NewMixture(8, dim, 0.1, 3), partition(0), 40)
	old, err := newStage(t, smallConfig(), store, 1).Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	_, err = newStage(t, smallConfig(), store, 2).Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	require.ErrorIs(t, old.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 10)), cluster.ErrFenced)
}

func TestBehind(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	s := newStage(t, smallConfig(), store, 1)
	f := newFeed(clustertest.NewMixture(8, dim, 0.1, 3), partition(0), 40)
	c, err := s.Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	early := store.Save()
	require.NoError(t, c.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 10)))
	behind := func() bool {
		b, err := c.Behind(t.Context(), 10)
		require.NoError(t, err)
		return b
	}
	require.False(t, behind())
	early()
	require.True(t, behind())
	require.ErrorIs(t, c.Fold(t.Context(), f.batch(memory.DefaultAllocator, 10, 20)), cluster.ErrClaimAgain)
	store.Lose()
	require.True(t, behind())
	require.ErrorIs(t, c.Fold(t.Context(), f.batch(memory.DefaultAllocator, 10, 20)), cluster.ErrClaimAgain)
	_, err = s.Claim(t.Context(), f.partition, cluster.Position{Base: 10, Committed: 10, LogEnd: 40})
	require.NoError(t, err)
	require.True(t, behind(), "the same cursor in another incarnation")
	require.ErrorIs(t, c.Fold(t.Context(), f.batch(memory.DefaultAllocator, 10, 20)), cluster.ErrClaimAgain)
}
