package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testTransform = pixels.Transform{Width: 12, Height: 8}

// picture is a gradient, a different one for each seed.
func picture(seed uint8) *image.NRGBA {
	im := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			im.SetNRGBA(x, y, color.NRGBA{R: uint8(6 * x), G: uint8(8 * y), B: seed, A: 255})
		}
	}
	return im
}

func encoded(t testing.TB, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, encode(&b))
	return b.Bytes()
}

func jpegOf(t testing.TB, seed uint8) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, picture(seed), nil) })
}

func pngOf(t testing.TB, seed uint8) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(seed)) })
}

func gifOf(t testing.TB) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return gif.Encode(b, picture(0), nil) })
}

// A WebP of one white pixel.
func webpOf(t testing.TB) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	require.NoError(t, err)
	return data
}

// bombOf is a PNG that declares width×height pixels and holds next to none.
func bombOf(t testing.TB, width, height uint32) []byte {
	t.Helper()
	data := pngOf(t, 0)
	header := data[12:29] // "IHDR" and its 13 bytes
	binary.BigEndian.PutUint32(header[4:], width)
	binary.BigEndian.PutUint32(header[8:], height)
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(header))
	return data
}

// pair is one row of Pairs, post one of Posts.
type (
	pair struct {
		url   string
		image []byte
	}
	post struct {
		op       schemas.Op
		rejected bool
		pairs    []pair
	}
)

func batchOf(alloc memory.Allocator, posts ...post) *schemas.Batch {
	pb := array.NewRecordBuilder(alloc, arrow.NewSchema(append(schemas.RecordFields(), schemas.PostFields()...), nil))
	defer pb.Release()
	rb := array.NewRecordBuilder(alloc, arrow.NewSchema(schemas.PairFields(), nil))
	defer rb.Release()
	opColumn := pb.Schema().FieldIndices(schemas.PostOp)[0]
	for row, p := range posts {
		for i, f := range pb.Fields() {
			switch {
			case i != opColumn:
				f.AppendNull()
			case p.op == "":
				f.(*array.StringBuilder).Append(string(schemas.OpCreate))
			default:
				f.(*array.StringBuilder).Append(string(p.op))
			}
		}
		for index, pr := range p.pairs {
			rb.Field(0).(*array.Int32Builder).Append(int32(row))
			rb.Field(1).(*array.Int32Builder).Append(int32(index))
			if pr.url == "" {
				rb.Field(2).AppendNull()
			} else {
				rb.Field(2).(*array.StringBuilder).Append(pr.url)
			}
			if pr.image == nil {
				rb.Field(3).AppendNull()
			} else {
				rb.Field(3).(*array.BinaryBuilder).Append(pr.image)
			}
			rb.Field(4).AppendNull()
		}
	}
	b := schemas.NewBatch(schemas.Partition{Topic: "posts"}, schemas.OffsetRange{End: int64(len(posts))}, pb.NewRecord())
	b.SetPairs(rb.NewRecord())
	for row, p := range posts {
		if p.rejected {
			b.Reject(row, schemas.Reject{Stage: "decode", Reason: schemas.ReasonMalformed, Detail: "first"})
		}
	}
	return b
}

// web is a Fetcher of what it holds; anything else fails. before, if any, is called first.
type web struct {
	pages  map[string][]byte
	errs   map[string]error
	before func(ctx context.Context, url string) error

	mu    sync.Mutex
	asked map[string]int
}

func (w *web) Fetch(ctx context.Context, url string) (Encoded, error) {
	w.mu.Lock()
	if w.asked == nil {
		w.asked = make(map[string]int)
	}
	w.asked[url]++
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(ctx, url); err != nil {
			return Encoded{}, err
		}
	}
	if err, ok := w.errs[url]; ok {
		return Encoded{}, err
	}
	if data, ok := w.pages[url]; ok {
		return Encoded{Data: data, Reserved: strings.HasPrefix(url, "reserved")}, nil
	}
	return Encoded{}, &Failure{Reason: schemas.ReasonUnreachable, Err: errors.New("404 Not Found")}
}

// eye is a Seer that sees each sample as a number. before, if any, is called first.
type eye struct {
	before func(ctx context.Context) error
	atOnce int

	mu   sync.Mutex
	seen int
}

func (e *eye) ImageWidth() int   { return testTransform.Size() }
func (e *eye) ImagesAtOnce() int { return max(1, e.atOnce) }

func (e *eye) See(ctx context.Context, pixels []uint8, vector []float32) error {
	e.mu.Lock()
	e.seen++
	e.mu.Unlock()
	if e.before != nil {
		if err := e.before(ctx); err != nil {
			return err
		}
	}
	for i, p := range pixels {
		vector[i] = float32(p) + 1 // no sample is 0, which is what stands under a null
	}
	memory.Set(pixels, 0xA5) // they are ours no more
	return nil
}

// times is how many images it was shown.
func (e *eye) times() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

// dirty hands out memory as it comes from other uses.
type dirty struct{ memory.Allocator }

func (d dirty) Allocate(size int) []byte {
	b := d.Allocator.Allocate(size)
	memory.Set(b, 0xA5)
	return b
}

// newTest makes a stage whose allocations are checked when the test ends.
func newTest(t *testing.T, fetcher Fetcher, edit func(*Config)) *Stage {
	t.Helper()
	alloc := memory.NewCheckedAllocator(dirty{memory.NewGoAllocator()})
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	cfg := DefaultConfig()
	cfg.MaxBytes, cfg.MaxPixels, cfg.MaxSide = 16<<10, 10_000, 500
	if edit != nil {
		edit(&cfg)
	}
	s, err := New(cfg, Settings{
		Fetcher: fetcher, Seer: &eye{}, Transform: testTransform, Alloc: alloc, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return s
}

// process runs posts through the stage; the batch is released when the test ends.
func process(t *testing.T, s *Stage, posts ...post) *schemas.Batch {
	t.Helper()
	b := batchOf(s.settings.Alloc, posts...)
	t.Cleanup(b.Release)
	require.NoError(t, s.Process(t.Context(), b))
	return b
}

// want is what the stage should make of a row: the vector of an image, a failure, or nothing at all.
type want struct {
	image  []byte
	reason schemas.Reason
	detail string
	digest []byte // the bytes whose digest a failed row has
}

func requireRows(t *testing.T, b *schemas.Batch, rows ...want) {
	t.Helper()
	pairs := b.Pairs()
	require.Equal(t, int64(len(rows)), pairs.NumRows())
	require.False(t, schemas.Has(pairs, schemas.PairImage), "encoded images are dropped")
	vectors := schemas.Col[*array.FixedSizeList](pairs, schemas.PairVector)
	digests := schemas.Col[*array.FixedSizeBinary](pairs, schemas.PairDigest)
	reasons := schemas.Col[*array.String](pairs, schemas.PairFailure)
	details := schemas.Col[*array.String](pairs, schemas.PairDetail)
	nulls := 0
	for row, w := range rows {
		source := w.image
		if w.image == nil {
			nulls++
			require.True(t, vectors.IsNull(row), "row %d", row)
			require.Equal(t, make([]float32, testTransform.Size()), vectorAt(b, row), "nothing shows through a null")
			source = w.digest
		} else {
			require.True(t, vectors.IsValid(row), "row %d: %s", row, details.ValueStr(row))
			require.Equal(t, expected(t, w.image), vectorAt(b, row), "row %d", row)
		}
		if source == nil {
			require.True(t, digests.IsNull(row), "row %d", row)
		} else {
			sum := sha256.Sum256(source)
			require.Equal(t, sum[:], digests.Value(row), "row %d", row)
		}
		require.Equal(t, w.reason == "", reasons.IsNull(row), "row %d: %s", row, details.ValueStr(row))
		require.Equal(t, w.reason == "", details.IsNull(row), "row %d", row)
		if w.reason != "" {
			require.Equal(t, string(w.reason), reasons.Value(row), "row %d: %s", row, details.Value(row))
			require.Contains(t, details.Value(row), w.detail, "row %d", row)
		}
	}
	require.Equal(t, nulls, vectors.NullN())
}

// vectorAt is the vector of a row, in the batch's memory.
func vectorAt(b *schemas.Batch, row int) []float32 {
	column := schemas.Col[*array.FixedSizeList](b.Pairs(), schemas.PairVector)
	first, last := column.ValueOffsets(row)
	return column.ListValues().(*array.Float32).Float32Values()[first:last]
}

func expected(t testing.TB, data []byte) []float32 {
	t.Helper()
	im, err := pixels.Decode(data, pixels.Limits{MaxBytes: 1 << 20, MaxPixels: 1 << 20, MaxSide: 1 << 16}, false)
	require.NoError(t, err)
	defer im.Release()
	slot := make([]byte, testTransform.Size())
	require.NoError(t, testTransform.Apply(slot, im))
	vector := make([]float32, len(slot))
	require.NoError(t, (&eye{}).See(t.Context(), slot, vector))
	return vector
}
