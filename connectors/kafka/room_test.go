package kafka_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// watched is room that remembers how much of it was taken at most.
type watched struct {
	*kafka.Room
	taken, most atomic.Int64
}

func watchedRoom(size int64) *watched {
	w := &watched{}
	w.Room = kafka.NewRoom(size, func(n int64) {
		now := w.taken.Add(n)
		for {
			most := w.most.Load()
			if now <= most || w.most.CompareAndSwap(most, now) {
				return
			}
		}
	})
	return w
}

// largeAllocator counts what is in use in pieces of least bytes or more, which
// answers are and batches of the tests below are not.
type largeAllocator struct {
	memory.Allocator
	least    int
	now, top atomic.Int64
}

func (a *largeAllocator) count(n int, sign int64) {
	if n < a.least {
		return
	}
	if now := a.now.Add(sign * int64(n)); now > a.top.Load() {
		a.top.Store(now)
	}
}

func (a *largeAllocator) Allocate(n int) []byte {
	a.count(n, 1)
	return a.Allocator.Allocate(n)
}

func (a *largeAllocator) Free(b []byte) {
	a.count(len(b), -1)
	a.Allocator.Free(b)
}

func (a *largeAllocator) Reallocate(n int, b []byte) []byte {
	a.count(n, 1)
	a.count(len(b), -1)
	return a.Allocator.Reallocate(n, b)
}

// However many partitions there are and however large their records, what
// their answers hold stays within the room; nobody waits for ever, and each
// record comes once, in order.
func TestAnswersStayWithinTheRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		partitions, records, size int
		room                      int64
	}{
		"many partitions":               {32, 60, 3 << 10, 1 << 20},
		"more partitions than shares":   {24, 12, 20 << 10, 256 << 10},
		"records larger than the share": {12, 6, 150 << 10, 400 << 10},
		"records larger than the room":  {4, 5, 300 << 10, 128 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.SeedTopics(int32(c.partitions), "many"))
			cfg := config(cluster.ListenAddrs())
			cfg.Compression, cfg.FetchMaxWait = "none", 20*time.Millisecond
			room := watchedRoom(c.room)
			client, err := kafka.Dial(t.Context(), cfg, kafka.Settings{Room: room.Room})
			require.NoError(t, err)
			t.Cleanup(client.Close)
			for i := range c.records { // a batch each
				var records []kafka.Record
				for p := range int32(c.partitions) {
					records = append(records, kafka.Record{Topic: "many", Partition: p, Value: []byte(fmt.Sprintf("%d %s", i, strings.Repeat(".", c.size)))})
				}
				require.NoError(t, client.Produce(t.Context(), records))
			}
			checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer checked.AssertSize(t, 0)
			var group sync.WaitGroup
			for p := range int32(c.partitions) {
				group.Go(func() {
					r := rand.New(rand.NewPCG(uint64(p), 1))
					f := client.NewFetcher(schemas.Partition{Topic: "many", ID: p}, checked, kafka.Limits{MaxRows: 1 + r.IntN(3), MaxBytes: 1 << 20})
					defer f.Close()
					for from := int64(0); from < int64(c.records); {
						if err := f.Reserve(t.Context()); err != nil {
							t.Error(err)
							return
						}
						b, err := f.Next(t.Context(), from, -1)
						if err != nil {
							t.Error(err)
							return
						}
						if b == nil {
							continue
						}
						for _, row := range rows(b) {
							if want := fmt.Sprintf("%d .", from); !strings.HasPrefix(row.value, want) || len(row.value) < c.size {
								t.Errorf("partition %d, offset %d: %.10q", p, from, row.value)
							}
							from++
						}
						b.Release()
						time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond) // with what is left of the answer
					}
				})
			}
			group.Wait()
			require.LessOrEqual(t, room.most.Load(), c.room)
			require.Zero(t, room.taken.Load())
		})
	}
}

// What the room counts is what is in memory.
func TestTheRoomIsWhatAnswersTake(t *testing.T) {
	t.Parallel()
	const size, partitions = 100 << 10, 8
	cluster := fake(t, kfake.SeedTopics(partitions, "many"))
	cfg := config(cluster.ListenAddrs())
	cfg.Compression, cfg.FetchMaxWait = "none", 20*time.Millisecond
	room := watchedRoom(512 << 10)
	client, err := kafka.Dial(t.Context(), cfg, kafka.Settings{Room: room.Room})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for range 6 {
		var records []kafka.Record
		for p := range int32(partitions) {
			for range 10 { // small ones: a batch of one row is no large piece
				records = append(records, kafka.Record{Topic: "many", Partition: p, Value: make([]byte, size/10)})
			}
		}
		require.NoError(t, client.Produce(t.Context(), records))
	}
	large := &largeAllocator{Allocator: memory.NewGoAllocator(), least: size / 2}
	var group sync.WaitGroup
	for p := range int32(partitions) {
		group.Go(func() {
			f := client.NewFetcher(schemas.Partition{Topic: "many", ID: p}, large, kafka.Limits{MaxRows: 1, MaxBytes: 1 << 10})
			defer f.Close()
			for from := int64(0); from < 60; {
				b, err := f.Next(t.Context(), from, -1)
				if err != nil {
					t.Error(err)
					return
				}
				if b != nil {
					from = b.Offsets.End
					b.Release()
				}
			}
		})
	}
	group.Wait()
	require.Zero(t, large.now.Load())
	require.Greater(t, large.top.Load(), int64(size), "several were at work at once")
	require.LessOrEqual(t, large.top.Load(), int64(512<<10))
}

// A fetch that its caller gives up returns its room, whenever that happens.
func TestAFetchThatIsGivenUpReturnsItsRoom(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := config(cluster.ListenAddrs())
	cfg.Compression, cfg.FetchMaxWait = "none", 50*time.Millisecond
	room := watchedRoom(1 << 20)
	client, err := kafka.Dial(t.Context(), cfg, kafka.Settings{Room: room.Room})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	send(t, client, strings.Repeat(".", 200<<10))
	checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
	for i := range 200 {
		f := client.NewFetcher(posts, checked, kafka.Limits{MaxRows: 1, MaxBytes: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		if b, err := f.Next(ctx, 0, -1); err == nil && b != nil {
			b.Release()
		}
		cancel()
		f.Close()
	}
	require.Eventually(t, func() bool { return room.taken.Load() == 0 }, patience, time.Millisecond)
	checked.AssertSize(t, 0)
}

// A partition without room waits, and its wait ends with its context.
func TestWaitingForRoomEndsWithContext(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := config(cluster.ListenAddrs())
	room := watchedRoom(64 << 10)
	client, err := kafka.Dial(t.Context(), cfg, kafka.Settings{Room: room.Room})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	alloc := memory.NewGoAllocator()
	first, second := client.NewFetcher(posts, alloc, kafka.Limits{MaxRows: 1, MaxBytes: 1}), client.NewFetcher(posts, alloc, kafka.Limits{MaxRows: 1, MaxBytes: 1})
	defer second.Close()
	require.NoError(t, first.Reserve(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, second.Reserve(ctx), context.DeadlineExceeded)
	first.Close()
	require.NoError(t, second.Reserve(t.Context()))
}

// Partitions that wait for records keep none of the others from fetching.
func TestEachPartitionHasItsShareOfTheRoom(t *testing.T) {
	t.Parallel()
	client, err := kafka.Dial(t.Context(), config(fake(t).ListenAddrs()), kafka.Settings{Room: kafka.NewRoom(1<<20, nil)})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	var all []*kafka.Fetcher
	for range 16 {
		f := client.NewFetcher(posts, memory.NewGoAllocator(), kafka.Limits{MaxRows: 1, MaxBytes: 1})
		defer f.Close()
		all = append(all, f)
	}
	for _, f := range all {
		require.NoError(t, f.Reserve(t.Context()))
	}
}
