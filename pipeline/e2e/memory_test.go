package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
)

// TestMemoryIsBoundedByConfiguration gives a worker a backlog far larger than
// what it may hold, and watches the live heap while it drains. The embedded
// broker's log is part of the heap, but it is there before and does not grow.
func TestMemoryIsBoundedByConfiguration(t *testing.T) {
	const (
		posts   = 1200
		budget  = 8 << 20
		backlog = posts * 200 << 10
	)
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle,
		fmt.Sprintf("queue.max_bytes=%d", budget), "kafka.fetch_max_bytes=1048576", "batch.max_bytes=2097152",
		"media.cache_bytes=1048576", "cluster.sample_bytes=1048576")
	o := observe(t, s)
	stopped := start(t, cfg) // creates the topics with their size limits
	first := oracle.NewWriter(5)
	o.produce(first.Many(1)...)
	o.wait()
	stopped.end(t)

	r := rand.New(rand.NewPCG(5, 5))
	noise := make([]byte, 150<<10)
	for i := range posts {
		// A good image with noise behind it: large, and quick to decode.
		data := append([]byte(nil), first.Image(i)...)
		for j := range noise {
			noise[j] = byte(r.Uint32())
		}
		id := fmt.Sprintf("large-%d", i)
		value, err := json.Marshal(schemas.Post{Schema: schemas.PostSchema, PostID: id, Text: "large", Media: []schemas.Media{{Data: append(data, noise...)}}})
		require.NoError(t, err)
		large := &oracle.Post{Key: []byte(id), Value: value, Post: id, Outcome: schemas.OutcomeResult, Images: []int{0}}
		o.produce(large)
		large.Value = nil // the oracle keeps where it went, not its bytes
	}
	for o.Inputs() < len(o.sent) {
		o.emitted()
	}
	before := live(t)
	require.Greater(t, before, uint64(backlog/2), "the backlog is in the broker's log")

	peak := make(chan uint64)
	stop := make(chan struct{})
	go func() {
		var most uint64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(20 * time.Millisecond):
				most = max(most, sample())
			}
		}
	}()
	w := start(t, cfg)
	o.wait()
	close(stop)
	most := <-peak
	w.end(t)
	o.judge(cfg, oracle.Rules{})

	// Beside the queue there are a response and a batch for each partition,
	// and the oracle's and the embedded broker's own buffers. Without a bound
	// it would be all of the backlog, raw, decoded and as pixels.
	allowed := before + backlog/3
	require.Less(t, most, allowed, "live heap: %d MB before, %d MB at most with a backlog of %d MB", before>>20, most>>20, backlog>>20)
}

// live is the heap in use after a collection.
func live(t *testing.T) uint64 {
	t.Helper()
	runtime.GC()
	return sample()
}

func sample() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
