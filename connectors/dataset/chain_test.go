package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/schemas"
)

var (
	input = schemas.Partition{Topic: "collected", ID: 1}
	clock = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
)

func inMemory(t testing.TB) *Folder {
	t.Helper()
	b := memblob.OpenBucket(nil)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return newFolder(opened{&bucket.Bucket{Bucket: b}})
}

// quick is a draft that compresses nothing, which takes most of a small one's
// time.
func quick(t require.TestingT) *Draft {
	d, err := newDraft(memory.DefaultAllocator, compress.Codecs.Uncompressed)
	require.NoError(t, err)
	return d
}

// filter rewrites a shard without an offset; rows are read twice, for most
// shards lack it.
func filter(ctx context.Context, t require.TestingT, c *Chain, e Entry, gone int64) (_ Entry, err error) {
	if e.Shard == "" {
		return e, nil
	}
	r, err := c.folder.Shard(ctx, e.Shard, memory.DefaultAllocator)
	if IsNotExist(err) {
		return Entry{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err != nil {
		return Entry{}, err
	}
	var left []int64
	for row, err := range r.Rows(ctx, ColInputOffset) {
		if err != nil {
			return Entry{}, err
		}
		if at := row.Collected.Input.Offset; at != gone {
			left = append(left, at)
		}
	}
	if int64(len(left)) == e.Rows {
		return e, nil
	}
	d := draft(t, left...)
	e, err = c.Rewrite(ctx, e, d, clock)
	return e, errors.Join(err, d.Discard())
}

func draft(t require.TestingT, offsets ...int64) *Draft {
	d := quick(t)
	for _, offset := range offsets {
		r := full(int(offset))
		require.NoError(t, d.Add(&r))
	}
	return d
}

func appended(t *testing.T, c *Chain, to int64, offsets ...int64) Entry {
	t.Helper()
	d := draft(t, offsets...)
	e, err := c.Append(t.Context(), d, to, Entry{}, clock)
	require.NoError(t, err)
	require.NoError(t, d.Discard())
	return e
}

// offsets are the rows of the entries that hold, with every shard held
// against its entry.
func offsets(ctx context.Context, t require.TestingT, f *Folder) (all []int64) {
	entries, err := f.Entries(ctx)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Shard == "" {
			continue
		}
		content, err := f.store.ReadAll(ctx, e.Shard)
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		require.Equal(t, e.SHA256, hex.EncodeToString(sum[:]))
		require.Equal(t, e.Bytes, int64(len(content)))
		r, err := f.Shard(ctx, e.Shard, memory.DefaultAllocator)
		require.NoError(t, err)
		require.Equal(t, e.Rows, r.NumRows())
		for row, err := range r.Rows(ctx, ColInputOffset) {
			require.NoError(t, err)
			at := row.Collected.Input.Offset
			require.True(t, e.From <= at && at < e.To, "offset %d in %s", at, e.Shard)
			all = append(all, at)
		}
	}
	return all
}

func keys(ctx context.Context, t require.TestingT, f *Folder) (all []string) {
	all, err := f.list(ctx, "")
	require.NoError(t, err)
	return all
}

func TestAppendAndLoad(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 5)
	require.NoError(t, err)
	assert.Equal(t, int64(5), c.End())
	first := appended(t, c, 10, 5, 7)
	assert.Equal(t, "data/day=2026-11-23/collected-00001-00000000000000000005-00000000000000000010.r0."+first.Token+".parquet", first.Shard)
	assert.Equal(t, int64(2), first.Rows)
	assert.Equal(t, map[string]int64{"both": 2}, first.Stats.Relations)
	none, err := c.Append(t.Context(), nil, 12, Entry{Dropped: map[string]int64{"duplicates": 2}, Gap: &Gap{From: 10, To: 11}}, clock)
	require.NoError(t, err)
	assert.Empty(t, none.Shard)
	appended(t, c, 20, 15)

	other := newFolder(f.store)
	c, err = other.Begin(t.Context(), input, "k1", 99)
	require.NoError(t, err)
	assert.Equal(t, int64(20), c.End(), "a chain that has begun goes on")
	assert.Len(t, c.Entries(), 3)
	assert.Equal(t, []int64{5, 7, 15}, offsets(t.Context(), t, other))
	_, err = other.Begin(t.Context(), input, "k2", 0)
	assert.ErrorContains(t, err, "Kafka cluster k1")
	_, err = c.Append(t.Context(), nil, 20, Entry{}, clock)
	assert.ErrorContains(t, err, "no range")

	m, err := other.WriteManifest(t.Context())
	require.NoError(t, err)
	again, err := f.ReadManifest(t.Context())
	require.NoError(t, err)
	assert.Equal(t, m, again)
	assert.Equal(t, []Covered{{Topic: "collected", Partition: 1, From: 5, To: 20, Gaps: []Gap{{10, 11}}}}, m.Inputs)
	assert.Equal(t, int64(3), m.Rows)
	assert.Equal(t, map[string]int64{"duplicates": 2}, m.Dropped)
	assert.Len(t, m.Shards, 2)
}

// Files have a way of their own to be created once.
func TestTwoOwnersOnFiles(t *testing.T) {
	t.Parallel()
	address := "file://" + t.TempDir()
	var chains []*Chain
	for range 2 {
		f, err := Open(t.Context(), address)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		c, err := f.Begin(t.Context(), input, "k1", 0)
		require.NoError(t, err)
		chains = append(chains, c)
	}
	appended(t, chains[0], 10, 1, 2)
	d := draft(t, 1, 2, 3)
	_, err := chains[1].Append(t.Context(), d, 11, Entry{}, clock)
	require.ErrorIs(t, err, ErrLost)
	require.NoError(t, d.Discard())
	assert.Equal(t, int64(10), chains[1].End())
	appended(t, chains[1], 20, 10, 11)
	f := chains[0].folder
	assert.Equal(t, []int64{1, 2, 10, 11}, offsets(t.Context(), t, f))
	assert.Len(t, keys(t.Context(), t, f), 5, "base, two entries, two shards, nothing of who lost")
}

func TestRewriteAndFilter(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	first := appended(t, c, 10, 1, 2, 3)
	appended(t, c, 20, 11)
	zombie, err := f.Chain(t.Context(), input)
	require.NoError(t, err)

	same, err := filter(t.Context(), t, c, first, 99)
	require.NoError(t, err)
	assert.Equal(t, first, same)
	second, err := filter(t.Context(), t, c, first, 2)
	require.NoError(t, err)
	assert.Equal(t, 1, second.Rev)
	assert.Equal(t, int64(1), second.Removed)
	assert.Equal(t, []int64{1, 3, 11}, offsets(t.Context(), t, f))
	assert.NotContains(t, keys(t.Context(), t, f), first.Shard)

	_, err = filter(t.Context(), t, zombie, first, 3)
	require.ErrorIs(t, err, ErrLost)
	third, err := c.Rewrite(t.Context(), second, nil, clock)
	require.NoError(t, err)
	assert.Empty(t, third.Shard)
	assert.Equal(t, int64(3), third.Removed)
	assert.Equal(t, []int64{11}, offsets(t.Context(), t, f))
	assert.Equal(t, int64(20), c.End())
}

func TestSweepDecidesWhatIsUndecided(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	first := appended(t, c, 10, 1, 2)

	put := func(key string) { require.NoError(t, f.store.WriteAll(t.Context(), key, []byte("PAR1"), nil)) }
	atEnd := "data/day=2026-11-23/collected-00001-00000000000000000010-00000000000000000020.r0.0a0b0c0d.parquet"
	rewrite := "data/day=2026-11-23/collected-00001-00000000000000000000-00000000000000000010.r1.0a0b0c0d.parquet"
	lost := "data/day=2026-11-23/collected-00001-00000000000000000000-00000000000000000010.r0.0a0b0c0d.parquet"
	others := "data/day=2026-11-23/collected-00002-00000000000000000000-00000000000000000010.r0.0a0b0c0d.parquet"
	half := lost + ".18f.tmp"
	for _, key := range []string{atEnd, rewrite, lost, others, half} {
		put(key)
	}
	zombie, err := f.Chain(t.Context(), input)
	require.NoError(t, err)
	removed, err := c.Sweep(t.Context(), clock)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{atEnd, rewrite, lost, half}, removed)
	assert.Contains(t, keys(t.Context(), t, f), others)
	assert.Equal(t, []int64{1, 2}, offsets(t.Context(), t, f))
	assert.Equal(t, int64(10), c.End())

	// Who was about to write goes on, one place further.
	e := appended(t, zombie, 20, 11)
	assert.Equal(t, 1, e.Rev)
	held := zombie.Entries()[0]
	assert.Equal(t, 1, held.Rev)
	assert.Equal(t, first.Shard, held.Shard)
	assert.Equal(t, []int64{1, 2, 11}, offsets(t.Context(), t, f))
	removed, err = c.Sweep(t.Context(), clock)
	require.NoError(t, err)
	assert.Empty(t, removed)
}

func TestAHoleInTheLogIsNoEnd(t *testing.T) {
	t.Parallel()
	f := inMemory(t)
	c, err := f.Begin(t.Context(), input, "k1", 0)
	require.NoError(t, err)
	first := appended(t, c, 10, 1)
	appended(t, c, 20, 11)
	require.NoError(t, f.store.Delete(t.Context(), first.key()))
	_, err = newFolder(f.store).Chain(t.Context(), input)
	require.ErrorContains(t, err, first.key()+" was deleted or damaged")
}

func TestDamagedEntries(t *testing.T) {
	t.Parallel()
	key := "log/collected-00001/00000000000000000000.r0.json"
	for text, want := range map[string]string{
		`{`:                     "is damaged",
		`{"schema":"shard.v9"}`: "newer",
		`{"schema":"shard.v1","topic":"collected","partition":2}`:                                          "it says that it is",
		`{"schema":"shard.v1","topic":"collected","partition":1,"from":0,"to":-1}`:                         "offsets 0 to -1",
		`{"schema":"shard.v1","topic":"collected","partition":1,"from":0,"to":5,"rows":3}`:                 `3 rows, shard ""`,
		`{"schema":"shard.v1","topic":"collected","partition":1,"from":0,"to":5,"rows":3,"shard":"../up"}`: "is not of its offsets",
	} {
		_, err := parseEntry(key, []byte(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func FuzzEntry(f *testing.F) {
	key := "log/collected-00001/00000000000000000000.r0.json"
	f.Add([]byte(`{"schema":"shard.v1","topic":"collected","partition":1,"from":0,"to":5,"rows":0}`))
	f.Add([]byte(`{"schema":"shard.v1","topic":"collected","partition":1,"from":0,"to":5,"rows":1,"shard":"data/day=2026-11-23/collected-00001-00000000000000000000-00000000000000000005.r0.0a0b0c0d.parquet"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := parseEntry(key, text); err == nil {
			assert.Equal(t, key, e.key())
			assert.GreaterOrEqual(t, e.To, e.From)
		}
	})
}

// errKilled is what a killed actor's storage says from then on.
var errKilled = errors.New("killed")

// stepped is a store whose every call waits for its actor's turn.
type stepped struct {
	store
	turn chan turn
}

type turn struct {
	// kill ends the actor: before the call, or right after it.
	before, after bool
	done          chan struct{}
}

func step[T any](s *stepped, call func() (T, error)) (T, error) {
	var none T
	now, ok := <-s.turn
	if !ok {
		return none, errKilled
	}
	defer close(now.done)
	if now.before {
		return none, errKilled
	}
	v, err := call()
	if now.after {
		return none, errKilled
	}
	return v, err
}

func act(s *stepped, call func() error) error {
	_, err := step(s, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (s *stepped) Create(ctx context.Context, key string, data []byte) error {
	return act(s, func() error { return s.store.Create(ctx, key, data) })
}

func (s *stepped) Upload(ctx context.Context, key string, r io.Reader, o *blob.WriterOptions) error {
	return act(s, func() error { return s.store.Upload(ctx, key, r, o) })
}

func (s *stepped) Delete(ctx context.Context, key string) error {
	return act(s, func() error { return s.store.Delete(ctx, key) })
}

func (s *stepped) ReadAll(ctx context.Context, key string) ([]byte, error) {
	return step(s, func() ([]byte, error) { return s.store.ReadAll(ctx, key) })
}

func (s *stepped) Attributes(ctx context.Context, key string) (*blob.Attributes, error) {
	return step(s, func() (*blob.Attributes, error) { return s.store.Attributes(ctx, key) })
}

func (s *stepped) Keys(ctx context.Context, prefix string) ([]string, error) {
	return step(s, func() ([]string, error) { return s.store.Keys(ctx, prefix) })
}

// world is a partition of ends offsets, of which every third holds no row.
const ends = 12

func hasRow(offset int64) bool { return offset%3 != 2 }

// collect is what an owner does: sweep, then append until the end, size
// offsets a shard.
func collect(ctx context.Context, f *Folder, size int64) error {
	c, err := f.Begin(ctx, input, "k1", 0)
	if err != nil {
		return err
	}
	if _, err := c.Sweep(ctx, clock); err != nil {
		return err
	}
	for c.End() < ends {
		to := min(c.End()+size, ends)
		d, err := newDraft(memory.DefaultAllocator, compress.Codecs.Uncompressed)
		if err != nil {
			return err
		}
		for at := c.End(); at < to; at++ {
			if r := full(int(at)); hasRow(at) {
				if err := d.Add(&r); err != nil {
					return err
				}
			}
		}
		_, err = c.Append(ctx, d, to, Entry{}, clock)
		if err := errors.Join(err, d.Discard()); err != nil && !errors.Is(err, ErrLost) {
			return err
		}
	}
	return nil
}

// forget is what a takedown does: the rows of one offset go, as often as it
// is asked.
func forget(ctx context.Context, t require.TestingT, f *Folder, gone int64) error {
	for range 50 {
		chains, err := f.Chains(ctx)
		if err != nil {
			return err
		}
		lost := false
		for _, c := range chains {
			for _, e := range c.Entries() {
				_, err := filter(ctx, t, c, e, gone)
				if errors.Is(err, ErrLost) {
					lost = true
				} else if err != nil {
					return err
				}
			}
		}
		if !lost {
			return nil
		}
	}
	return errors.New("what the log names is not there")
}

// Two owners and two takedowns work on one partition at the same time, each
// call to the storage in an order that is drawn, and any of them may be killed at any
// call. In the end every offset is in the data set once, and no file is left
// over.
func TestAnyOrderOfOwnersTakedownsAndCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		mem := memblob.OpenBucket(nil)
		defer mem.Close() //nolint:errcheck // memory
		shared := opened{&bucket.Bucket{Bucket: mem}}

		type actor struct {
			name  string
			store *stepped
			ended chan error
		}
		start := func(name string, run func(f *Folder) error) *actor {
			a := &actor{name: name, store: &stepped{store: shared, turn: make(chan turn)}, ended: make(chan error, 1)}
			go func() { a.ended <- run(newFolder(a.store)) }()
			return a
		}
		size := []int64{rapid.Int64Range(1, 5).Draw(rt, "size"), rapid.Int64Range(1, 5).Draw(rt, "other size")}
		gone := []int64{1, 6}
		owner := func(i int) *actor {
			return start(fmt.Sprintf("owner %d", i), func(f *Folder) error { return collect(ctx, f, size[i%2]) })
		}
		taker := func(i int) *actor {
			return start(fmt.Sprintf("takedown %d", i), func(f *Folder) error { return forget(ctx, rt, f, gone[i]) })
		}
		actors := []*actor{owner(0), owner(1), taker(0), taker(1)}
		kills := rapid.IntRange(0, 6).Draw(rt, "kills")
		// Drawn numbers prefer small ones: one actor would run to its end first.
		fate := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		for steps := 0; len(actors) > 0; steps++ {
			require.Less(rt, steps, 5000, "nobody gets anywhere")
			i := fate.IntN(len(actors))
			a := actors[i]
			now := turn{done: make(chan struct{})}
			if kills > 0 {
				switch fate.IntN(20) {
				case 0:
					now.before = true
				case 1:
					now.after = true
				}
			}
			select {
			case a.store.turn <- now:
				<-now.done
				if now.before || now.after {
					kills--
					close(a.store.turn)
					require.ErrorIs(rt, <-a.ended, errKilled, a.name)
					if strings.HasPrefix(a.name, "owner") {
						actors[i] = owner(i)
					} else {
						actors = slices.Delete(actors, i, i+1)
					}
				}
			case err := <-a.ended:
				require.NoError(rt, err, a.name)
				actors = slices.Delete(actors, i, i+1)
			}
		}

		last := newFolder(shared)
		require.NoError(rt, collect(ctx, last, 3))
		for _, offset := range gone {
			require.NoError(rt, forget(ctx, rt, last, offset))
		}
		c, err := last.Chain(ctx, input)
		require.NoError(rt, err)
		_, err = c.Sweep(ctx, clock)
		require.NoError(rt, err)

		var want []int64
		for at := range int64(ends) {
			if hasRow(at) && !slices.Contains(gone, at) {
				want = append(want, at)
			}
		}
		require.Equal(rt, want, offsets(ctx, rt, last))
		named := make(map[string]bool)
		for _, e := range c.Entries() {
			named[e.Shard] = true
		}
		for _, key := range keys(ctx, rt, last) {
			require.False(rt, strings.HasPrefix(key, dataPrefix) && !named[key], "orphan %s", key)
		}
	})
}
