package media

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
)

func TestTheSameBytesAreWorkedOnOnce(t *testing.T) {
	t.Parallel()
	photo, cut := jpegOf(t, 1), jpegOf(t, 1)[:300]
	s := newTest(t, &web{pages: map[string][]byte{"a": photo, "b": photo, "cut": cut}}, nil)
	s.cache.metrics = NewMetrics(prometheus.NewRegistry())
	calls := counted(s)
	for n := range 2 {
		requireRows(t, process(t, s,
			post{pairs: []pair{{image: photo}, {url: "a"}, {url: "b"}, {url: "a"}}},
			post{pairs: []pair{{image: cut}, {url: "cut"}, {url: "cut"}, {image: photo}}},
		),
			want{image: photo}, want{image: photo}, want{image: photo}, want{image: photo},
			want{reason: schemas.ReasonCorrupt, digest: cut}, want{reason: schemas.ReasonCorrupt, digest: cut},
			want{reason: schemas.ReasonCorrupt, digest: cut}, want{image: photo},
		)
		require.Equal(t, int32(2), calls.Load())
		require.Equal(t, 1, s.settings.Seer.(*eye).times())
		require.InDelta(t, 2, testutil.ToFloat64(s.cache.metrics.misses), 0)
		// Rows of a URL that is fetched for another are not looked up.
		require.InDelta(t, 4+6*n, testutil.ToFloat64(s.cache.metrics.hits)+testutil.ToFloat64(s.cache.metrics.waits), 0)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	entry := int64(4*testTransform.Size() + entryBytes)
	s := newTest(t, &web{}, func(c *Config) { c.CacheBytes = 3*entry + entry/2 })
	calls := counted(s)
	ask := func(seed uint8) {
		photo := jpegOf(t, seed)
		requireRows(t, process(t, s, post{pairs: []pair{{image: photo}}}), want{image: photo})
	}
	for _, seed := range []uint8{1, 2, 3, 1, 4} { // 2 is the least recently used, and goes
		ask(seed)
	}
	require.Equal(t, int32(4), calls.Load())
	require.Equal(t, 3, s.cache.known.Len())
	for _, seed := range []uint8{1, 3, 4} {
		ask(seed)
	}
	require.Equal(t, int32(4), calls.Load())
	ask(2)
	require.Equal(t, int32(5), calls.Load())
	require.Empty(t, s.cache.making)
}

// A batch's vectors may be written over once it is released: the cache must not share them.
func TestTheCacheKeepsACopy(t *testing.T) {
	t.Parallel()
	photo := jpegOf(t, 1)
	s := newTest(t, &web{}, nil)
	b := batchOf(s.settings.Alloc, post{pairs: []pair{{image: photo}}})
	require.NoError(t, s.Process(t.Context(), b))
	clear(vectorAt(b, 0))
	b.Release()
	requireRows(t, process(t, s, post{pairs: []pair{{image: photo}}}), want{image: photo})
}

// inBubble runs a stage without memory in fake time, whose model takes a second.
func inBubble(t *testing.T, test func(t *testing.T, s *Stage, e *eye)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, &web{}, func(c *Config) { c.CacheBytes = 0 })
		e := &eye{before: func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		s.settings.Seer = e
		test(t, s, e)
	})
}

// start processes posts in the background.
func start(ctx context.Context, s *Stage, posts ...post) (*schemas.Batch, <-chan error) {
	b := batchOf(s.settings.Alloc, posts...)
	done := make(chan error, 1)
	go func() { done <- s.Process(ctx, b) }()
	return b, done
}

// TestImagesUnderWayAreShared: an image that comes again while it is worked on is waited for, in its batch and in others.
func TestImagesUnderWayAreShared(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *Stage, e *eye) {
		photo := jpegOf(t, 1)
		calls := counted(s)
		one, first := start(t.Context(), s, post{pairs: []pair{{image: photo}, {image: photo}}})
		defer one.Release()
		time.Sleep(time.Second / 2)
		two, second := start(t.Context(), s, post{pairs: []pair{{image: photo}}})
		defer two.Release()
		began := time.Now()
		require.NoError(t, <-first)
		require.NoError(t, <-second)
		require.Equal(t, time.Second/2, time.Since(began))
		require.Equal(t, int32(1), calls.Load())
		require.Equal(t, 1, e.times())
		requireRows(t, one, want{image: photo}, want{image: photo})
		requireRows(t, two, want{image: photo})
		require.Empty(t, s.cache.making)
	})
}

// TestWhoWaitsTakesOver: when the batch that works on an image is given up, or fails, those that wait for it work on it
// themselves.
func TestWhoWaitsTakesOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *Stage, e *eye) {
		photo := jpegOf(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		one, first := start(ctx, s, post{pairs: []pair{{image: photo}}})
		defer one.Release()
		synctest.Wait()
		impatient, leave := context.WithCancel(t.Context())
		two, second := start(impatient, s, post{pairs: []pair{{image: photo}}})
		defer two.Release()
		three, third := start(t.Context(), s, post{pairs: []pair{{image: photo}}})
		defer three.Release()
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-second, context.Canceled)
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		require.NoError(t, <-third)
		require.Equal(t, 2, e.times())
		requireRows(t, three, want{image: photo})
		require.Empty(t, s.cache.making)
	})
}

// TestPlacesBoundPixels: no more images are scaled than the workers and the model have in hand.
func TestPlacesBoundPixels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers, atOnce = 2, 3
		s := newTest(t, &web{}, func(c *Config) { c.Workers, c.CacheBytes = workers, 0 })
		var shown gauge
		e := &eye{atOnce: atOnce, before: func(context.Context) error {
			shown.enter(1)
			time.Sleep(time.Second)
			shown.enter(-1)
			return nil
		}}
		var err error
		s, err = New(s.cfg, Settings{Fetcher: &web{}, Seer: e, Transform: testTransform, Alloc: s.settings.Alloc, Log: s.settings.Log})
		require.NoError(t, err)
		var p post
		var rows []want
		for i := range 20 {
			p.pairs = append(p.pairs, pair{image: jpegOf(t, uint8(i))})
			rows = append(rows, want{image: p.pairs[i].image})
		}
		b := process(t, s, p)
		requireRows(t, b, rows...)
		require.Equal(t, int64(workers+atOnce), shown.most)
		require.True(t, s.places.TryAcquire(workers+atOnce))
	})
}

// repeats is what the property draws: batches that show some of a few images, at different times.
type repeats struct {
	room    int // of the cache, in images
	batches []repeatsBatch
}

type repeatsBatch struct {
	images       []int
	start, until time.Duration // until 0: never given up
}

func drawRepeats(t *rapid.T) repeats {
	ms := func(label string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Millisecond
	}
	r := repeats{room: rapid.SampledFrom([]int{0, 1, 2, 100}).Draw(t, "room")}
	for range rapid.IntRange(1, 6).Draw(t, "batches") {
		b := repeatsBatch{images: rapid.SliceOfN(rapid.IntRange(0, 5), 0, 8).Draw(t, "images"), start: ms("start", 30)}
		if rapid.IntRange(0, 3).Draw(t, "given up") == 0 {
			b.until = b.start + ms("until", 20)
		}
		r.batches = append(r.batches, b)
	}
	return r
}

// TestMemoryOfImagesChangesNothing: whatever comes again, when, and however little is remembered, each row has what it has
// without a cache.
func TestMemoryOfImagesChangesNothing(t *testing.T) {
	t.Parallel()
	// Two are no images.
	images := [][]byte{jpegOf(t, 1), pngOf(t, 2), jpegOf(t, 3), jpegOf(t, 4)[:200], []byte("text"), pngOf(t, 5)}
	vectors := make(map[int][]float32)
	for _, i := range []int{0, 1, 2, 5} {
		vectors[i] = expected(t, images[i])
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := drawRepeats(rt)
		var failures []error
		synctest.Test(t, func(t *testing.T) { failures = r.play(t, images, vectors) })
		for _, err := range failures {
			rt.Error(err)
		}
	})
}

func (r repeats) play(t *testing.T, images [][]byte, vectors map[int][]float32) (failures []error) {
	t.Helper()
	alloc := memory.NewCheckedAllocator(dirty{memory.NewGoAllocator()})
	defer alloc.AssertSize(t, 0)
	s := newTest(t, &web{}, func(c *Config) { c.Workers, c.CacheBytes = 2, int64(r.room*(4*testTransform.Size()+entryBytes)) })
	s.settings.Seer = &eye{before: func(context.Context) error {
		time.Sleep(3 * time.Millisecond)
		return nil
	}}
	results := make([]error, len(r.batches))
	var running sync.WaitGroup
	for i, rb := range r.batches {
		var posts []post
		for _, image := range rb.images {
			posts = append(posts, post{pairs: []pair{{image: images[image]}}})
		}
		b := batchOf(alloc, posts...)
		running.Go(func() {
			defer b.Release()
			results[i] = rb.process(t.Context(), s, b, vectors)
		})
	}
	running.Wait()
	if len(s.cache.making) > 0 {
		failures = append(failures, errors.New("somebody still works on an image"))
	}
	return append(failures, slices.DeleteFunc(results, func(err error) bool { return err == nil })...)
}

func (rb repeatsBatch) process(ctx context.Context, s *Stage, b *schemas.Batch, vectors map[int][]float32) error {
	time.Sleep(rb.start)
	if rb.until > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rb.until-rb.start)
		defer cancel()
	}
	if err := s.Process(ctx, b); err != nil {
		if rb.until > 0 && errors.Is(err, context.DeadlineExceeded) && schemas.Has(b.Pairs(), schemas.PairImage) {
			return nil
		}
		return err
	}
	for row, image := range rb.images {
		_, rejected := b.Rejected(row)
		want, good := vectors[image]
		if rejected == good || good && !slices.Equal(vectorAt(b, row), want) {
			return fmt.Errorf("row %d of image %d is wrong", row, image)
		}
	}
	return nil
}
