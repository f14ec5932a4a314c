package infer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scenario is what the property draws: batches that come at different times,
// some of which are given up.
type scenario struct {
	cfg     Config
	delay   time.Duration
	poison  byte // the image whose runs fail, if any has it
	batches []scenarioBatch
}

type scenarioBatch struct {
	posts        []testPost
	start, until time.Duration // until 0: never given up
}

func drawScenario(t *rapid.T) scenario {
	ms := func(label string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Millisecond
	}
	texts := rapid.Custom(func(t *rapid.T) *string {
		if rapid.IntRange(0, 9).Draw(t, "null text") == 0 {
			return nil
		}
		text := fmt.Sprint("text ", rapid.IntRange(0, 5).Draw(t, "text"))
		return &text
	})
	pairs := rapid.Custom(func(t *rapid.T) testPair {
		return testPair{
			Image:  byte(rapid.IntRange(0, 7).Draw(t, "image")),
			Failed: rapid.IntRange(0, 4).Draw(t, "failed") == 0,
		}
	})
	posts := rapid.Custom(func(t *rapid.T) testPost {
		return testPost{
			Text:     texts.Draw(t, "text"),
			Rejected: rapid.IntRange(0, 9).Draw(t, "rejected") == 0,
			Pairs:    rapid.SliceOfN(pairs, 0, 4).Draw(t, "pairs"),
		}
	})
	sc := scenario{
		cfg: Config{
			MaxBatch: rapid.IntRange(1, 9).Draw(t, "max_batch"),
			MaxWait:  ms("max_wait", 6),
			Runs:     rapid.IntRange(1, 3).Draw(t, "runs"),
		},
		delay:  ms("delay", 10),
		poison: byte(rapid.IntRange(0, 15).Draw(t, "poison")),
	}
	for range rapid.IntRange(1, 6).Draw(t, "batches") {
		b := scenarioBatch{posts: rapid.SliceOfN(posts, 0, 8).Draw(t, "posts"), start: ms("start", 20)}
		if rapid.IntRange(0, 3).Draw(t, "given up") == 0 {
			b.until = b.start + ms("until", 30)
		}
		sc.batches = append(sc.batches, b)
	}
	return sc
}

// TestRowsComeBack: whatever batches share runs, are split over runs, are
// given up, or meet a run that fails, each gets the answers to its own rows in
// its own order, or is left as it was.
func TestRowsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		sc := drawScenario(rt)
		var failures []error
		synctest.Test(t, func(t *testing.T) { failures = sc.play(t) })
		for _, err := range failures {
			rt.Error(err)
		}
	})
}

func (sc scenario) play(t *testing.T) (failures []error) {
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	encoder := &fakeEncoder{delay: sc.delay, err: func(in model.Input) error {
		for _, image := range in.Images {
			if image[0] == float32(sc.poison) {
				return errBroken
			}
		}
		return nil
	}}
	stage, err := New(sc.cfg, Settings{Encoder: encoder, Alloc: alloc})
	require.NoError(t, err)
	defer stage.Close()
	results := make(chan error)
	for i, sb := range sc.batches {
		b := newBatch(t, alloc, sb.posts)
		go func() {
			err := sb.process(t.Context(), stage, b)
			b.Release()
			if err != nil {
				err = fmt.Errorf("batch %d: %w", i, err)
			}
			results <- err
		}()
	}
	for range sc.batches {
		if err := <-results; err != nil {
			failures = append(failures, err)
		}
	}
	stage.Close() // a run may outlast the batches that gave up
	return append(failures, encoder.check(sc.cfg)...)
}

var errBroken = errors.New("out of memory")

func (sb scenarioBatch) process(ctx context.Context, stage *Stage, b *schemas.Batch) error {
	time.Sleep(sb.start)
	if sb.until > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sb.until-sb.start)
		defer cancel()
	}
	err := stage.Process(ctx, b)
	switch {
	case err == nil:
		return checkDone(b, sb.posts)
	case errors.Is(err, errBroken):
		return checkUntouched(b)
	case sb.until > 0 && errors.Is(err, context.DeadlineExceeded):
		return checkUntouched(b)
	}
	return err
}

// check says what was wrong with the calls.
func (f *fakeEncoder) check(cfg Config) (failures []error) {
	if f.most > cfg.Runs {
		failures = append(failures, fmt.Errorf("%d runs at once, %d are allowed", f.most, cfg.Runs))
	}
	for _, in := range f.calls {
		if len(in.Texts) == 0 || len(in.Texts) > cfg.MaxBatch {
			failures = append(failures, fmt.Errorf("a run of %d pairs, %d are allowed", len(in.Texts), cfg.MaxBatch))
		}
	}
	return failures
}

// post is one with that text and these images.
func post(text string, images ...byte) testPost {
	p := testPost{Text: &text}
	for _, i := range images {
		p.Pairs = append(p.Pairs, testPair{Image: i})
	}
	return p
}

// bubble is a stage with a fake encoder, in a bubble of fake time.
type bubble struct {
	*testing.T
	alloc   *memory.CheckedAllocator
	encoder *fakeEncoder
	stage   *Stage
}

func inBubble(t *testing.T, cfg Config, encoder *fakeEncoder, test func(bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer alloc.AssertSize(t, 0)
		stage, err := New(cfg, Settings{Encoder: encoder, Alloc: alloc})
		require.NoError(t, err)
		defer stage.Close()
		test(bubble{t, alloc, encoder, stage})
	})
}

// start processes posts in the background and checks what comes of them.
func (b bubble) start(ctx context.Context, posts ...testPost) <-chan error {
	result := make(chan error, 1)
	batch := newBatch(b.T, b.alloc, posts)
	go func() {
		err := b.stage.Process(ctx, batch)
		if err == nil {
			err = checkDone(batch, posts)
		} else if untouched := checkUntouched(batch); untouched != nil {
			err = untouched
		}
		batch.Release()
		result <- err
	}()
	return result
}

// sizes returns how many pairs each call had.
func (f *fakeEncoder) sizes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	sizes := []int{}
	for _, c := range f.calls {
		sizes = append(sizes, len(c.Texts))
	}
	return sizes
}

// TestTextsAreReadAhead: each post's once, whatever becomes of its batch.
func TestTextsAreReadAhead(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	encoder := &fakeEncoder{}
	stage, err := New(DefaultConfig(), Settings{Encoder: encoder, Alloc: alloc})
	require.NoError(t, err)
	defer stage.Close()
	rejected := post("rejected", 3)
	rejected.Rejected = true
	batch := newBatch(t, alloc, []testPost{post("a", 1, 2), post("no image"), rejected, {Pairs: []testPair{{Image: 4}}}, post("a", 5)})
	read := stage.Ahead(batch)
	batch.Release()
	require.Empty(t, encoder.ahead)
	read(t.Context())
	require.Equal(t, [][]string{{"a", "", "a"}}, encoder.ahead)

	batch = newBatch(t, alloc, []testPost{post("no image")})
	read = stage.Ahead(batch)
	batch.Release()
	read(t.Context())
	require.Len(t, encoder.ahead, 1)
}

func TestBatchesShareARun(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 8, MaxWait: 5 * time.Millisecond, Runs: 2}, &fakeEncoder{}, func(b bubble) {
		first := b.start(b.Context(), post("a", 1, 2), post("b", 3))
		time.Sleep(3 * time.Millisecond)
		second := b.start(b.Context(), post("a", 4), post("c", 1))
		time.Sleep(2*time.Millisecond - time.Nanosecond)
		synctest.Wait()
		require.Empty(b, b.encoder.sizes(), "a run before the first pair has waited")
		time.Sleep(time.Nanosecond)
		require.NoError(b, <-first)
		require.NoError(b, <-second)
		require.Equal(b, []int{5}, b.encoder.sizes())
		require.Equal(b, []string{"a", "a", "b", "a", "c"}, b.encoder.calls[0].Texts)
	})
}

func TestFullRunsDoNotWait(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 3, MaxWait: time.Minute, Runs: 1}, &fakeEncoder{}, func(b bubble) {
		began := time.Now()
		require.NoError(b, <-b.start(b.Context(), post("a", 1, 2, 3), post("b", 4, 5, 6)))
		require.Zero(b, time.Since(began))
		require.Equal(b, []int{3, 3}, b.encoder.sizes())
	})
}

func TestLargeBatchIsSplit(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 4, MaxWait: time.Millisecond, Runs: 2}, &fakeEncoder{}, func(b bubble) {
		require.NoError(b, <-b.start(b.Context(), post("a", 1, 2, 3), post("b", 4, 5, 6), post("c", 7, 8, 9)))
		require.Equal(b, []int{4, 4, 1}, b.encoder.sizes())
	})
}

// TestBackpressure: while the runs are taken, callers wait, and what they
// bring joins the next run.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 2, Runs: 1}, &fakeEncoder{delay: time.Second}, func(b bubble) {
		first := b.start(b.Context(), post("a", 1))
		synctest.Wait()
		var rest []<-chan error
		for i := range byte(6) {
			rest = append(rest, b.start(b.Context(), post("b", 2+i)))
		}
		synctest.Wait()
		require.Equal(b, []int{1}, b.encoder.sizes())
		require.NoError(b, <-first)
		for _, r := range rest {
			require.NoError(b, <-r)
		}
		require.Equal(b, []int{1, 2, 2, 2}, b.encoder.sizes())
	})
}

// TestOneCallerGivesUp: its Process returns at once, its batch may be released
// while the run still reads it, and who shares the run gets its rows.
func TestOneCallerGivesUp(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 8, MaxWait: time.Millisecond, Runs: 1}, &fakeEncoder{delay: time.Second}, func(b bubble) {
		ctx, cancel := context.WithCancel(b.Context())
		gone := b.start(ctx, post("a", 1))
		stays := b.start(b.Context(), post("b", 2))
		time.Sleep(500 * time.Millisecond)
		cancel()
		began := time.Now()
		require.ErrorIs(b, <-gone, context.Canceled)
		require.Zero(b, time.Since(began))
		require.NoError(b, <-stays)
		require.Equal(b, []int{2}, b.encoder.sizes())
	})
}

// TestAllCallersGiveUp: the run is broken off, and rows that wait are not run.
func TestAllCallersGiveUp(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 2, MaxWait: time.Millisecond, Runs: 1}, &fakeEncoder{delay: time.Hour}, func(b bubble) {
		ctx, cancel := context.WithCancel(b.Context())
		first, second := b.start(ctx, post("a", 1, 2, 3)), b.start(ctx, post("b", 2))
		time.Sleep(time.Second)
		cancel()
		require.ErrorIs(b, <-first, context.Canceled)
		require.ErrorIs(b, <-second, context.Canceled)
		synctest.Wait()
		b.encoder.delay = 0
		began := time.Now()
		require.NoError(b, <-b.start(b.Context(), post("c", 4)))
		require.Less(b, time.Since(began), time.Second, "the run that nobody waits for goes on")
		require.Equal(b, []int{2, 1}, b.encoder.sizes())
	})
}

func TestFailingRun(t *testing.T) {
	t.Parallel()
	encoder := &fakeEncoder{err: func(in model.Input) error {
		if in.Texts[0] == "bad" {
			return fmt.Errorf("text.onnx: %w", model.ErrNotFinite)
		}
		return nil
	}}
	inBubble(t, DefaultConfig(), encoder, func(b bubble) {
		err := <-b.start(b.Context(), post("bad", 1, 2))
		require.ErrorIs(b, err, model.ErrNotFinite)
		require.ErrorContains(b, err, "posts/3 [0,1)")
		require.ErrorContains(b, err, "failed on 2 pairs")
		require.Equal(b, []int{2}, b.encoder.sizes())
		require.NoError(b, <-b.start(b.Context(), post("good", 1)))
	})
}

// TestClose: batches in a run, in the open run, in part of it and at the door
// all end.
func TestClose(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{MaxBatch: 2, MaxWait: time.Minute, Runs: 1}, &fakeEncoder{delay: time.Hour}, func(b bubble) {
		var results []<-chan error
		for i := range byte(4) {
			results = append(results, b.start(b.Context(), post("a", i), post("b", i, i, i, i)))
			synctest.Wait()
		}
		b.stage.Close()
		for _, r := range results {
			require.ErrorIs(b, <-r, ErrClosed)
		}
		require.ErrorIs(b, <-b.start(b.Context(), post("a", 1)), ErrClosed)
		require.Equal(b, []int{2}, b.encoder.sizes())
	})
}

func TestNothingToRun(t *testing.T) {
	t.Parallel()
	for name, posts := range map[string][]testPost{
		"no posts":    {},
		"no pairs":    {post("a")},
		"all failed":  {{Pairs: []testPair{{Failed: true}, {Failed: true}}}},
		"all rejects": {{Rejected: true, Pairs: []testPair{{Image: 1}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, DefaultConfig(), &fakeEncoder{}, func(b bubble) {
				require.NoError(b, <-b.start(b.Context(), posts...))
				require.Empty(b, b.encoder.sizes())
			})
		})
	}
}

func TestBatchWithoutVectors(t *testing.T) {
	t.Parallel()
	inBubble(t, DefaultConfig(), &fakeEncoder{}, func(b bubble) {
		raw := schematest.NewBatch(b.T, b.alloc, schematest.Values("{}")...)
		defer raw.Release()
		require.ErrorContains(b, b.stage.Process(b.Context(), raw), "media comes first")
	})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	err := Config{MaxBatch: 5000, MaxWait: -1, Runs: 0}.Validate()
	for _, want := range []string{"max_batch is 5000", "max_wait is -1ns", "runs is 0"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(DefaultConfig(), Settings{})
	require.ErrorContains(t, err, "Settings.Encoder")
	_, err = New(DefaultConfig(), Settings{Encoder: &fakeEncoder{}})
	require.ErrorContains(t, err, "Settings.Alloc")
}
