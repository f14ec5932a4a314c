package media

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

func TestEachImageHasItsOutcome(t *testing.T) {
	t.Parallel()
	photo := jpegOf(t, 1)
	for name, tt := range map[string]struct {
		image []byte
		want  want
	}{
		"JPEG":                  {photo, want{image: photo}},
		"PNG":                   {pngOf(t, 2), want{image: pngOf(t, 2)}},
		"GIF":                   {gifOf(t), want{image: gifOf(t)}},
		"WebP":                  {webpOf(t), want{image: webpOf(t)}},
		"bytes behind":          {append(bytes.Clone(photo), "tail"...), want{image: append(bytes.Clone(photo), "tail"...)}},
		"empty":                 {[]byte{}, want{reason: schemas.ReasonNotImage, detail: "0 bytes", digest: []byte{}}},
		"text":                  {[]byte("<svg/>"), want{reason: schemas.ReasonNotImage, detail: "<svg/>", digest: []byte("<svg/>")}},
		"truncated JPEG":        {photo[:len(photo)/2], want{reason: schemas.ReasonCorrupt, detail: "JPEG", digest: photo[:len(photo)/2]}},
		"JPEG's first bytes":    {photo[:4], want{reason: schemas.ReasonCorrupt, detail: "JPEG", digest: photo[:4]}},
		"truncated PNG":         {pngOf(t, 2)[:60], want{reason: schemas.ReasonCorrupt, detail: "PNG", digest: pngOf(t, 2)[:60]}},
		"PNG bomb":              {bombOf(t, 60_000, 60_000), want{reason: schemas.ReasonImageSize, detail: "60000×60000", digest: bombOf(t, 60_000, 60_000)}},
		"PNG of too many":       {bombOf(t, 101, 100), want{reason: schemas.ReasonImageSize, detail: "101×100", digest: bombOf(t, 101, 100)}},
		"PNG too long":          {bombOf(t, 501, 1), want{reason: schemas.ReasonImageSize, detail: "501×1", digest: bombOf(t, 501, 1)}},
		"PNG of no pixels":      {bombOf(t, 0, 7), want{reason: schemas.ReasonCorrupt, detail: "PNG", digest: bombOf(t, 0, 7)}},
		"PNG of 2⁶² pixels":     {bombOf(t, 1<<31-1, 1<<31-1), want{reason: schemas.ReasonImageSize, digest: bombOf(t, 1<<31-1, 1<<31-1)}},
		"too many bytes":        {make([]byte, 16<<10+1), want{reason: schemas.ReasonImageSize, detail: "16385 bytes", digest: make([]byte, 16<<10+1)}},
		"foreign bytes in text": {[]byte("\xff\xfe\x00a"), want{reason: schemas.ReasonNotImage, digest: []byte("\xff\xfe\x00a")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTest(t, &web{pages: map[string][]byte{"u": tt.image}}, nil)
			inline := process(t, s, post{pairs: []pair{{image: tt.image}}})
			requireRows(t, inline, tt.want)
			_, rejected := inline.Rejected(0)
			require.Equal(t, tt.want.reason != "", rejected)
			// Fetched, and from the cache, all is the same.
			requireRows(t, process(t, s, post{pairs: []pair{{url: "u"}}}), tt.want)
		})
	}
}

func TestPostsOfAllKinds(t *testing.T) {
	t.Parallel()
	photo, graphic, cut := jpegOf(t, 1), pngOf(t, 2), jpegOf(t, 3)[:200]
	fetcher := &web{
		pages: map[string][]byte{"photo": photo, "cut": cut, "text": []byte("hello")},
		errs:  map[string]error{"inside": &Failure{Reason: schemas.ReasonForbidden, Err: errors.New("10.0.0.1 is private")}},
	}
	s := newTest(t, fetcher, nil)
	b := process(t, s,
		post{},
		post{pairs: []pair{{image: photo}, {url: "photo"}, {image: graphic, url: "never asked"}}},
		post{pairs: []pair{{url: "inside"}, {url: "photo"}}},
		post{pairs: []pair{{url: "inside"}, {url: "gone"}, {image: cut}, {}}},
		post{op: schemas.OpDelete, pairs: []pair{{url: "of a delete"}}},
		post{rejected: true, pairs: []pair{{url: "of a reject"}, {image: photo}}},
		post{op: schemas.OpUpdate, pairs: []pair{{image: photo}}},
		post{pairs: []pair{{url: "text"}}},
	)
	requireRows(t, b,
		want{image: photo}, want{image: photo}, want{image: graphic},
		want{reason: schemas.ReasonForbidden, detail: "10.0.0.1 is private"}, want{image: photo},
		want{reason: schemas.ReasonForbidden, detail: "10.0.0.1"}, want{reason: schemas.ReasonUnreachable, detail: "404"},
		want{reason: schemas.ReasonCorrupt, digest: cut}, want{reason: schemas.ReasonNoSource},
		want{},
		want{}, want{},
		want{image: photo},
		want{reason: schemas.ReasonNotImage, digest: []byte("hello")},
	)
	require.Equal(t, map[string]int{"photo": 1, "inside": 1, "gone": 1, "text": 1}, fetcher.asked)

	for row, reasons := range map[int][]schemas.Reason{
		3: {schemas.ReasonForbidden, schemas.ReasonUnreachable, schemas.ReasonCorrupt, schemas.ReasonNoSource},
		7: {schemas.ReasonNotImage},
	} {
		r, ok := b.Rejected(row)
		require.True(t, ok)
		require.Equal(t, "media", r.Stage)
		require.Equal(t, schemas.ReasonMediaFailed, r.Reason)
		for i, reason := range reasons {
			require.Contains(t, r.Detail, "image "+string(rune('0'+i))+": "+string(reason)+": ")
		}
	}
	for _, row := range []int{0, 1, 2, 4, 6} {
		_, ok := b.Rejected(row)
		require.False(t, ok, "post %d", row)
	}
	r, ok := b.Rejected(5)
	require.True(t, ok)
	require.Equal(t, "first", r.Detail)
}

func TestBatchWithoutPairs(t *testing.T) {
	t.Parallel()
	s := newTest(t, &web{}, nil)
	requireRows(t, process(t, s))
	requireRows(t, process(t, s, post{}, post{op: schemas.OpDelete}))

	undecoded := batchOf(s.settings.Alloc)
	undecoded.SetPairs(nil)
	defer undecoded.Release()
	require.ErrorContains(t, s.Process(t.Context(), undecoded), "decode comes first")
}

func TestDetailsAreShortAndValid(t *testing.T) {
	t.Parallel()
	long := errors.New(strings.Repeat("ü\xff", 5000))
	s := newTest(t, &web{errs: map[string]error{"u": &Failure{Reason: schemas.ReasonUnreachable, Err: long}}}, nil)
	b := process(t, s, post{pairs: []pair{{url: "u"}, {}, {}, {}, {url: "u"}, {url: "u"}, {url: "u"}, {url: "u"}}})
	detail := schemas.Col[*array.String](b.Pairs(), schemas.PairDetail).Value(0)
	require.LessOrEqual(t, len(detail), maxDetail)
	require.Equal(t, detail, strings.ToValidUTF8(detail, "!"))
	require.True(t, strings.HasSuffix(detail, "…"))
	r, ok := b.Rejected(0)
	require.True(t, ok)
	require.LessOrEqual(t, len(r.Detail), maxRejectDetail)
	require.Equal(t, r.Detail, strings.ToValidUTF8(r.Detail, "!"))
	require.Equal(t, "short", shorten("short", 5))
}

// counted counts the decoder's calls.
func counted(s *Stage) *atomic.Int32 {
	var calls atomic.Int32
	paint := s.paint
	s.paint = func(d pixels.Drawing, dst, data []byte) error {
		calls.Add(1)
		return paint(d, dst, data)
	}
	return &calls
}

func TestOrientationIsTheBundles(t *testing.T) {
	t.Parallel()
	s := newTest(t, &web{}, nil)
	var got []bool
	s.paint = func(d pixels.Drawing, _, _ []byte) error {
		got = append(got, d.Orient)
		return pixels.ErrFormat
	}
	process(t, s, post{pairs: []pair{{image: []byte("a")}}})
	s.settings.Orient = true
	process(t, s, post{pairs: []pair{{image: []byte("b")}}})
	require.Equal(t, []bool{false, true}, got)
}

// A draft is wanted of builds that can, or refused before anything starts.
func TestDraftIsTheConfigurations(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Draft = true
	if !pixels.CanDraft {
		require.ErrorContains(t, cfg.Validate(), "draft is true: it needs a build with libjpeg-turbo")
		return
	}
	require.NoError(t, cfg.Validate())
	for _, draft := range []bool{false, true} {
		s := newTest(t, &web{}, func(c *Config) { c.Draft = draft })
		s.paint = func(d pixels.Drawing, _, _ []byte) error {
			assert.Equal(t, draft, d.Draft)
			return pixels.ErrFormat
		}
		process(t, s, post{pairs: []pair{{image: []byte("a")}}})
	}
}

func TestAPanicInADecoderIsOneImagesEnd(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	photo, killer := jpegOf(t, 1), []byte("killer")
	s := newTest(t, &web{}, nil)
	s.settings.Log = slog.New(slog.NewTextHandler(&logged, nil))
	paint := s.paint
	s.paint = func(d pixels.Drawing, dst, data []byte) error {
		if bytes.Equal(data, killer) {
			panic("index out of range")
		}
		return paint(d, dst, data)
	}
	b := process(t, s, post{pairs: []pair{{image: killer}, {image: photo}}})
	requireRows(t, b, want{reason: schemas.ReasonCorrupt, detail: "panicked", digest: killer}, want{image: photo})
	require.Contains(t, logged.String(), "index out of range")
}

func TestErrorsThatAreNoImagesFault(t *testing.T) {
	t.Parallel()
	away := &stages.Transient{Err: errors.New("the vault is sealed")}
	fetcher := &web{errs: map[string]error{"u": away}}
	s := newTest(t, fetcher, nil)
	photo := jpegOf(t, 1)
	b := batchOf(s.settings.Alloc, post{pairs: []pair{{image: photo}, {url: "u"}, {url: "v"}}}, post{pairs: []pair{{}}})
	defer b.Release()
	before := b.Pairs()
	err := s.Process(t.Context(), b)
	var transient *stages.Transient
	require.ErrorAs(t, err, &transient)
	require.ErrorContains(t, err, "posts/0 [0,2)")
	require.Same(t, before, b.Pairs(), "the batch is as it was")
	for row := range 2 {
		_, rejected := b.Rejected(row)
		require.False(t, rejected)
	}

	fetcher.errs = nil
	broken := errors.New("image.onnx: broken")
	s.settings.Seer.(*eye).before = func(context.Context) error { return broken }
	s.cache.known.Purge()
	require.ErrorIs(t, s.Process(t.Context(), b), broken)
	require.Same(t, before, b.Pairs())

	s.settings.Seer.(*eye).before = nil
	require.NoError(t, s.Process(t.Context(), b), "and may be tried again")
	requireRows(t, b, want{image: photo}, want{reason: schemas.ReasonUnreachable}, want{reason: schemas.ReasonUnreachable}, want{reason: schemas.ReasonNoSource})
}

func TestProcessEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	fetcher := &web{before: func(ctx context.Context, _ string) error {
		cancel()
		<-ctx.Done()
		// A fetcher that takes the end of its context for the host's silence must not turn posts into dead letters.
		return &Failure{Reason: schemas.ReasonUnreachable, Err: errors.New("no answer")}
	}}
	s := newTest(t, fetcher, func(c *Config) { c.Workers, c.Fetches = 1, 1 })
	posts := []post{{pairs: []pair{{url: "a"}, {url: "b"}}}, {pairs: []pair{{image: jpegOf(t, 1)}}}}
	b := batchOf(s.settings.Alloc, posts...)
	defer b.Release()
	require.Equal(t, context.Canceled, s.Process(ctx, b))
	require.Equal(t, context.Canceled, s.Process(ctx, b), "before it began")
	for row := range posts {
		_, rejected := b.Rejected(row)
		require.False(t, rejected)
	}
	require.True(t, schemas.Has(b.Pairs(), schemas.PairImage))
	require.Equal(t, map[string]int{"a": 1}, fetcher.asked)
}

// gauge notes how many were ever inside at once.
type gauge struct {
	mu        sync.Mutex
	now, most int64
}

func (g *gauge) enter(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

func TestTheLimitsHoldForAllBatchesTogether(t *testing.T) {
	t.Parallel()
	const workers, fetches, batches, images = 3, 5, 4, 12
	var decoding, held, canvas gauge
	fetcher := &web{before: func(context.Context, string) error {
		held.enter(1)
		return nil
	}, pages: make(map[string][]byte)}
	s := newTest(t, fetcher, func(c *Config) {
		// Two pictures of 40×30 pixels, in MCUs of 16×16, have room at once, and so have 32 rows of them.
		c.Workers, c.Fetches, c.CacheBytes, c.MaxPixels, c.DecodePixels = workers, fetches, 0, 1200, 2*48*32
	})
	full := make(chan struct{})
	var once sync.Once
	paint := s.paint
	s.paint = func(d pixels.Drawing, dst, data []byte) error {
		room := d.Room
		d.Room = func(size int64) error {
			if err := room(size); err != nil {
				return err
			}
			decoding.enter(1)
			canvas.enter(size)
			decoding.mu.Lock()
			if decoding.now == 2 {
				once.Do(func() { close(full) })
			}
			decoding.mu.Unlock()
			select {
			case <-full:
			case <-time.After(30 * time.Second):
			}
			time.Sleep(2 * time.Millisecond) // long enough for one too many to come in
			return nil
		}
		defer held.enter(-1)
		defer canvas.enter(-48 * 32)
		defer decoding.enter(-1)
		return paint(d, dst, data)
	}
	var running sync.WaitGroup
	waiting := make([]*schemas.Batch, batches)
	for i := range waiting {
		var posts []post
		for j := range images {
			url := string(rune('a'+i)) + string(rune('a'+j))
			fetcher.pages[url] = jpegOf(t, uint8(i*images+j))
			posts = append(posts, post{pairs: []pair{{url: url}}})
		}
		waiting[i] = batchOf(s.settings.Alloc, posts...)
	}
	for _, b := range waiting {
		running.Go(func() {
			defer b.Release()
			if err := s.Process(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	require.Equal(t, int64(2), decoding.most, "two canvases, though there are three workers")
	require.Equal(t, int64(2*48*32), canvas.most)
	require.Equal(t, int64(fetches), held.most)
	require.True(t, s.workers.TryAcquire(workers), "all is given back")
	require.True(t, s.canvas.TryAcquire(2*48*32))
	require.True(t, s.fetches.TryAcquire(fetches))
}

// A file that libjpeg-turbo refuses is decoded again, in more room: nobody waits for that with room in hand.
func TestRoomForASecondAttempt(t *testing.T) {
	t.Parallel()
	var posts []post
	var rows []want
	for i := range 40 {
		photo := jpegOf(t, uint8(i))
		odd := append([]byte{0xff, 0xd8, 0xff, 0xfe, 0, 2, 1, 2, 3}, photo[2:]...)
		posts = append(posts, post{pairs: []pair{{image: odd}}})
		rows = append(rows, want{image: odd})
	}
	s := newTest(t, &web{}, func(c *Config) { c.Workers, c.CacheBytes, c.MaxPixels, c.DecodePixels = 4, 0, 1200, 48*32 })
	requireRows(t, process(t, s, posts...), rows...)
	require.True(t, s.canvas.TryAcquire(48*32), "all is given back")
}

func TestWaitingForRoomEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newTest(t, &web{}, nil)
	require.True(t, s.canvas.TryAcquire(s.cfg.DecodePixels))
	ctx, cancel := context.WithCancel(t.Context())
	paint := s.paint
	s.paint = func(d pixels.Drawing, dst, data []byte) error {
		cancel()
		return paint(d, dst, data)
	}
	b := batchOf(s.settings.Alloc, post{pairs: []pair{{image: jpegOf(t, 1)}}})
	defer b.Release()
	require.Equal(t, context.Canceled, s.Process(ctx, b))
	_, rejected := b.Rejected(0)
	require.False(t, rejected)
}

func TestWorkersBoundDecoding(t *testing.T) {
	t.Parallel()
	var decoding gauge
	s := newTest(t, &web{}, func(c *Config) { c.Workers, c.CacheBytes = 2, 0 })
	s.paint = func(pixels.Drawing, []byte, []byte) error {
		decoding.enter(1)
		defer decoding.enter(-1)
		time.Sleep(2 * time.Millisecond)
		return pixels.ErrFormat
	}
	var running sync.WaitGroup
	for i := range 3 {
		var posts []post
		for j := range 10 {
			posts = append(posts, post{pairs: []pair{{image: []byte{byte(i), byte(j)}}}})
		}
		b := batchOf(s.settings.Alloc, posts...)
		running.Go(func() {
			defer b.Release()
			if err := s.Process(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	require.Equal(t, int64(2), decoding.most)
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for key, edit := range map[string]func(*Config){
		"workers is -1":          func(c *Config) { c.Workers = -1 },
		"fetches is 0":           func(c *Config) { c.Fetches = 0 },
		"max_bytes is 0":         func(c *Config) { c.MaxBytes = 0 },
		"max_pixels is 0":        func(c *Config) { c.MaxPixels = 0 },
		"max_side is 65536":      func(c *Config) { c.MaxSide = 65_536 },
		"decode_pixels is 10":    func(c *Config) { c.DecodePixels = 10 },
		"cache_bytes is -1":      func(c *Config) { c.CacheBytes = -1 },
		"fetches is 0: 1 to 100": func(c *Config) { c.Workers, c.Fetches = -1, 0 },
	} {
		c := DefaultConfig()
		edit(&c)
		require.ErrorContains(t, c.Validate(), key)
		_, err := New(c, Settings{})
		require.ErrorContains(t, err, key)
	}
	good := Settings{Fetcher: &web{}, Seer: &eye{}, Transform: testTransform, Alloc: memory.DefaultAllocator, Log: slog.New(slog.DiscardHandler)}
	for missing, edit := range map[string]func(*Settings){
		"Fetcher":       func(s *Settings) { s.Fetcher = nil },
		"Seer":          func(s *Settings) { s.Seer = nil },
		"Alloc":         func(s *Settings) { s.Alloc = nil },
		"Log":           func(s *Settings) { s.Log = nil },
		"0×0 pixels is": func(s *Settings) { s.Transform = pixels.Transform{} },
	} {
		s := good
		edit(&s)
		_, err := New(DefaultConfig(), s)
		require.ErrorContains(t, err, missing)
	}
	s, err := New(DefaultConfig(), good)
	require.NoError(t, err)
	require.Positive(t, s.cfg.Workers)
}
