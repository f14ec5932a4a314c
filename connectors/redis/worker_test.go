package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

const dim = 32

// lossy is a store whose replies get lost: what was asked is done.
type lossy struct {
	cluster.CentroidStore
	mu     sync.Mutex
	random *rand.Rand
}

func (l *lossy) lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.random.IntN(8) == 0 {
		return &stages.Transient{Err: errors.New("reply lost")}
	}
	return nil
}

func (l *lossy) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	reply, err := l.CentroidStore.Fold(ctx, r)
	return reply, errors.Join(err, l.lost())
}

func (l *lossy) Claim(ctx context.Context, r cluster.ClaimRequest) (cluster.ClaimReply, error) {
	reply, err := l.CentroidStore.Claim(ctx, r)
	return reply, errors.Join(err, l.lost())
}

func (l *lossy) Init(ctx context.Context, r cluster.InitRequest) (cluster.InitReply, error) {
	reply, err := l.CentroidStore.Init(ctx, r)
	return reply, errors.Join(err, l.lost())
}

// log is one partition: every offset has one pair.
type log struct {
	id schemas.Partition
	xs [][]float32

	mu      sync.Mutex
	emitted map[int64]string
}

func (l *log) batch(from, to int64) *schemas.Batch {
	var posts []clustertest.Post
	for o := from; o < to; o++ {
		posts = append(posts, clustertest.Post{Offset: o, ID: fmt.Sprint(l.id, o), Label: schemas.Both, Embeddings: [][]float32{l.xs[o]}})
	}
	return clustertest.NewBatch(memory.DefaultAllocator, l.id, schemas.OffsetRange{First: from, End: to}, dim, posts)
}

// work claims and folds until the log ends, giving up now and then.
func (l *log) work(ctx context.Context, s *cluster.Stage, random *rand.Rand) error {
	end := int64(len(l.xs))
	for {
		c, err := s.Claim(ctx, l.id, cluster.Position{Base: -1, Committed: -1, LogEnd: end})
		for err == nil && c.Cursor() < end {
			b := l.batch(c.Cursor(), min(end, c.Cursor()+1+random.Int64N(20)))
			if err = c.Fold(ctx, b); err == nil {
				err = l.emit(b)
			}
			b.Release()
			if random.IntN(10) == 0 {
				break
			}
		}
		var away *stages.Transient
		switch {
		case err == nil && c.Cursor() == end:
			return nil
		case err != nil && !errors.As(err, &away) && !errors.Is(err, cluster.ErrClaimAgain) && !errors.Is(err, cluster.ErrFenced):
			return err
		case errors.As(err, &away):
			time.Sleep(time.Millisecond)
		}
	}
}

// emit notes what became of each offset; never two different things.
func (l *log) emit(b *schemas.Batch) error {
	ids := schemas.Col[*array.String](b.Pairs(), schemas.PairCluster)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range ids.Len() {
		o := b.Offsets.First + int64(i)
		if was, ok := l.emitted[o]; ok {
			return fmt.Errorf("offset %d was folded into %q and again into %q", o, was, ids.Value(i))
		}
		l.emitted[o] = ids.Value(i)
	}
	return nil
}

// workTogether folds a few partitions with several stages that fight over
// them, over connections that lose replies, and checks the totals.
func workTogether(t *testing.T, addr string, disturb func()) {
	t.Helper()
	const partitions, posts, workers = 4, 400, 3
	m := clustertest.NewMixture(12, dim, 0.05, 5)
	ns := freshNamespace()
	var logs []*log
	var checksum uint64
	for p := range int32(partitions) {
		l := &log{id: schemas.Partition{Topic: "posts", ID: p}, emitted: map[int64]string{}}
		for o := range int64(posts) {
			x, _ := m.Any()
			l.xs = append(l.xs, x)
			checksum += schemas.PairChecksum(l.id, o, 0)
		}
		logs = append(logs, l)
	}
	newStage := func(seed uint64) *cluster.Stage {
		c := cluster.DefaultConfig()
		c.K, c.Bootstrap, c.HalfLife = 12, 100, 60
		store := &lossy{CentroidStore: dial(t, addr).Store(ns, "d"), random: rand.New(rand.NewPCG(seed, 9))}
		s, err := cluster.New(c, cluster.Settings{Store: store, Dim: dim, Now: time.Now})
		require.NoError(t, err)
		return s
	}
	g, ctx := errgroup.WithContext(t.Context())
	for w := range uint64(workers) {
		s := newStage(w)
		for i, l := range logs {
			g.Go(func() error { return l.work(ctx, s, rand.New(rand.NewPCG(w, uint64(i)))) })
		}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for disturb != nil {
			select {
			case <-done:
				return
			case <-time.After(150 * time.Millisecond):
				disturb()
			}
		}
	}()
	err := g.Wait()
	close(done)
	<-ended
	require.NoError(t, err)

	got, err := newStage(99).Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(partitions*posts), got.Count)
	require.Equal(t, checksum, got.Checksum)
	require.Equal(t, 12, got.Clusters)
	require.False(t, got.Bootstrapping)
}

func TestWorkTogether(t *testing.T) {
	t.Parallel()
	workTogether(t, startEmbedded(t), nil)
}

func TestRealWorkTogether(t *testing.T) {
	t.Parallel()
	workTogether(t, redistest.Start(t, redistest.Options{}).Addr(), nil)
}

// TestRealServerDies kills the server under load, which has promised to keep
// every command it answered.
func TestRealServerDies(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{AppendOnly: true})
	deaths := 0
	workTogether(t, srv.Addr(), func() {
		if deaths == 8 {
			return
		}
		deaths++
		srv.Kill()
		srv.Restart()
	})
	require.Positive(t, deaths)
}

// TestRealServerForgets kills a server that keeps nothing: every partition is
// folded again from its base.
func TestRealServerForgets(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	m := clustertest.NewMixture(4, dim, 0.05, 6)
	l := &log{id: schemas.Partition{Topic: "posts"}, emitted: map[int64]string{}}
	for range 300 {
		x, _ := m.Any()
		l.xs = append(l.xs, x)
	}
	config := cluster.DefaultConfig()
	config.K, config.Bootstrap = 4, 40
	s, err := cluster.New(config, cluster.Settings{Store: dial(t, srv.Addr()).Store("n", "d"), Dim: dim, Now: time.Now})
	require.NoError(t, err)
	at := cluster.Position{Base: -1, Committed: -1, Start: 10, LogEnd: 300}
	c, err := s.Claim(t.Context(), l.id, at)
	require.NoError(t, err)
	require.NoError(t, c.Fold(t.Context(), l.batch(10, 200)))
	behind, err := c.Behind(t.Context(), 200)
	require.NoError(t, err)
	require.False(t, behind)

	srv.Kill()
	var away *stages.Transient
	require.ErrorAs(t, c.Fold(t.Context(), l.batch(200, 210)), &away)
	srv.Restart()
	behind, err = c.Behind(t.Context(), 200)
	require.NoError(t, err)
	require.True(t, behind)
	require.ErrorIs(t, c.Fold(t.Context(), l.batch(200, 210)), cluster.ErrClaimAgain)

	at.Base, at.Committed, at.Start = c.Base(), 200, 0
	c, err = s.Claim(t.Context(), l.id, at)
	require.NoError(t, err)
	require.Equal(t, []int64{10, 10, 200}, []int64{c.Base(), c.Cursor(), c.From()})
	require.NoError(t, c.Fold(t.Context(), l.batch(10, 200)))
	require.NoError(t, c.Fold(t.Context(), l.batch(200, 300)))
	got, err := s.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(290), got.Count)
}
