package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// TestReservoir samples far more than fits: the first centroids count
// everything, and both halves of the stream weigh the same in them.
func TestReservoir(t *testing.T) {
	t.Parallel()
	const wide, n = 1024, 2000 // 1 MiB holds 255 of them
	m := clustertest.NewMixture(2, wide, 0.01, 1)
	store := clustertest.NewMemory(fixedNow)
	c := smallConfig()
	c.K, c.Bootstrap, c.SampleBytes = 2, n, 1<<20
	s, err := cluster.New(c, cluster.Settings{Store: store, Dim: wide, Now: fixedNow, Rand: seeded(1)})
	require.NoError(t, err)
	claim, err := s.Claim(t.Context(), partition(0), cluster.Position{Base: -1, Committed: -1, LogEnd: n + 1})
	require.NoError(t, err)
	var checksum uint64
	fold := func(from, to int64, component int) {
		var posts []clustertest.Post
		for o := from; o < to; o++ {
			posts = append(posts, clustertest.Post{Offset: o, Embeddings: [][]float32{m.Draw(component)}})
			checksum += schemas.PairChecksum(partition(0), o, 0)
		}
		b := clustertest.NewBatch(memory.DefaultAllocator, partition(0), schemas.OffsetRange{First: from, End: to}, wide, posts)
		defer b.Release()
		require.NoError(t, claim.Fold(t.Context(), b))
	}
	for from := int64(0); from < n; from += 100 {
		fold(from, from+100, int(2*from/n))
	}
	sampled, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.True(t, sampled.Bootstrapping)
	require.Equal(t, []uint64{n, n}, []uint64{sampled.Count, sampled.Sampled})
	require.Equal(t, checksum, sampled.Checksum)
	slots, err := store.Slots(t.Context(), []int{0, 254, 255, 500})
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, false, false}, []bool{slots[0] != nil, slots[1] != nil, slots[2] != nil, slots[3] != nil})

	fold(n, n+1, 0)
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(n+1), got.Count)
	require.Equal(t, checksum, got.Checksum)
	require.Equal(t, 2, got.Clusters)
	require.Zero(t, got.Sampled)
	for _, size := range got.Sizes {
		require.InDelta(t, n/2, size.Size, n/8, "each half of the stream")
		require.InDelta(t, n/2, float64(size.Count), n/8)
	}
}

// during is a store that does something else before a method is done.
type during struct {
	cluster.CentroidStore
	lease func(freeze bool) error
	init  func() error
}

func (d *during) Lease(ctx context.Context, holder string, ttl time.Duration, freeze bool) (bool, error) {
	ok, err := d.CentroidStore.Lease(ctx, holder, ttl, freeze)
	return ok, errors.Join(err, d.lease(freeze))
}

func (d *during) Init(ctx context.Context, r cluster.InitRequest) (cluster.InitReply, error) {
	reply, err := d.CentroidStore.Init(ctx, r)
	return reply, errors.Join(err, d.init())
}

// TestSampleGrowsMeanwhile lets another worker sample while k-means runs: what
// it added counts where it belongs.
func TestSampleGrowsMeanwhile(t *testing.T) {
	t.Parallel()
	memStore := clustertest.NewMemory(fixedNow)
	m := clustertest.NewMixture(2, dim, 0.01, 1)
	f, g := newFeed(m, partition(0), 41), newFeed(m, partition(1), 200)
	config := smallConfig()
	config.K = 2
	config.Bootstrap = 1000 // it would never make centroids itself
	other := newStage(t, config, memStore, 2)
	config.Bootstrap = 40
	s := newStage(t, config, &during{
		CentroidStore: memStore,
		lease: func(freeze bool) error {
			if !freeze {
				g.foldAll(t.Context(), t, other, 100, nil)
			}
			return nil
		},
		init: func() error { return nil },
	}, 1)
	f.foldAll(t.Context(), t, s, 20, nil)
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(241), got.Count)
	require.Equal(t, f.checksum+g.checksum, got.Checksum)
	var want [2]uint64
	for _, fd := range []*feed{f, g} {
		for _, label := range fd.labels {
			want[label]++
		}
	}
	require.ElementsMatch(t, want[:], []uint64{got.Sizes[0].Count, got.Sizes[1].Count}, "each pair with its own kind")
}

// TestInitReplyLost installs centroids and never hears of it.
func TestInitReplyLost(t *testing.T) {
	t.Parallel()
	memStore := clustertest.NewMemory(fixedNow)
	lost := errors.New("reply lost")
	inits := 0
	s := newStage(t, smallConfig(), &during{
		CentroidStore: memStore,
		lease:         func(bool) error { return nil },
		init: func() error {
			inits++
			return &stages.Transient{Err: lost}
		},
	}, 1)
	f := newFeed(clustertest.NewMixture(8, dim, 0.05, 1), partition(0), 80)
	c, err := s.Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	require.NoError(t, c.Fold(t.Context(), f.batch(memory.DefaultAllocator, 0, 64)))
	b := f.batch(memory.DefaultAllocator, 64, 80)
	require.ErrorIs(t, c.Fold(t.Context(), b), lost)
	require.NoError(t, c.Fold(t.Context(), b))
	require.Equal(t, 1, inits)
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, f.checksum, got.Checksum)
	require.Equal(t, 8, got.Clusters)
}

// TestLeaseOfADeadWorker has somebody hold the lease who never comes back:
// sampling goes on, and the centroids come when the lease has ended.
func TestLeaseOfADeadWorker(t *testing.T) {
	t.Parallel()
	now := epoch
	store := clustertest.NewMemory(func() time.Time { return now })
	ok, err := store.Lease(t.Context(), "dead", time.Minute, false)
	require.NoError(t, err)
	require.True(t, ok)
	s := newStage(t, smallConfig(), store, 1)
	f := newFeed(clustertest.NewMixture(8, dim, 0.05, 1), partition(0), 200)
	f.xs = f.xs[:150]
	f.foldAll(t.Context(), t, s, 10, nil)
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.True(t, got.Bootstrapping)
	require.Equal(t, uint64(150), got.Sampled)

	now = now.Add(2 * time.Minute)
	f.xs = f.xs[:200]
	f.foldAll(t.Context(), t, s, 10, nil)
	got, err = s.Totals(t.Context())
	require.NoError(t, err)
	require.False(t, got.Bootstrapping)
	require.Equal(t, f.checksum, got.Checksum)
}

// TestFrozenSample waits until the sample may change again, or until it is
// told to stop.
func TestFrozenSample(t *testing.T) {
	t.Parallel()
	store := clustertest.NewMemory(fixedNow)
	_, err := store.Lease(t.Context(), "other", time.Minute, true)
	require.NoError(t, err)
	s := newStage(t, smallConfig(), store, 1)
	f := newFeed(clustertest.NewMixture(8, dim, 0.05, 1), partition(0), 20)
	c, err := s.Claim(t.Context(), f.partition, f.position(-1))
	require.NoError(t, err)
	b := f.batch(memory.DefaultAllocator, 0, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.Fold(ctx, b), context.DeadlineExceeded)
	require.NoError(t, store.Release(t.Context(), "other"))
	require.NoError(t, c.Fold(t.Context(), b))
}
