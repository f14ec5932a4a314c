package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"
	goredis "github.com/redis/go-redis/v9"

	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// contest is clustering alone: embeddings are there, and nothing is done with
// what comes of them, so that workers only fold. Real workers fold far less
// often, and collide as these do where all their folds together are as many a
// second.
type contest struct {
	clusters, partitions, workers, rows int
	// folds are as many as they all together shall do in a second, at random
	// moments; 0: as many as they can.
	folds int
}

// contestFigures are what a contest gave.
type contestFigures struct {
	rate     float64 // posts a second, of all workers
	tries    float64 // a fold; 1 where none collides
	cpu      float64 // microseconds of the workers' processor time a post
	redisCPU float64 // and of Redis's
	redisKB  float64 // between workers and Redis, a post
	reply    float64 // milliseconds to Redis's answer to a fold, the median
}

func (f contestFigures) byUnit() map[string]float64 {
	return map[string]float64{
		"posts/s": f.rate, "tries/fold": f.tries, "CPU µs/post": f.cpu,
		"Redis CPU µs/post": f.redisCPU, "Redis kB/post": f.redisKB, "ms/reply": f.reply,
	}
}

// span is how long a contest lasts.
func (c contest) span() time.Duration {
	if c.folds > 0 {
		return 4 * time.Second // for some to collide
	}
	return 1500 * time.Millisecond
}

// ring is where contests with as many clusters and rows take place.
type ring struct {
	state cluster.Snapshot
	pairs []arrow.Record // what batches show, in turn
}

func newRing(ctx context.Context, clusters, rows int) (*ring, error) {
	mixture := clustertest.NewMixture(clusters, pointsDim, 0.01, 1)
	state, err := clustertest.Filled(ctx, mixture.Centres)
	if err != nil {
		return nil, err
	}
	r := &ring{state: state}
	for range 8 {
		posts := make([]clustertest.Post, rows)
		for i := range posts {
			x, _ := mixture.Any()
			posts[i].Embeddings = [][]float32{x}
		}
		b := clustertest.NewBatch(memory.DefaultAllocator, schemas.Partition{}, schemas.OffsetRange{}, pointsDim, posts)
		b.Pairs().Retain()
		r.pairs = append(r.pairs, b.Pairs())
		b.Release()
	}
	return r, nil
}

// fold folds the next rows of a claim.
func (r *ring) fold(ctx context.Context, claim *cluster.Claim, p schemas.Partition, rows int) error {
	posts := make([]clustertest.Post, rows)
	from := claim.Cursor()
	for i := range posts {
		posts[i] = clustertest.Post{Offset: from + int64(i), ID: "post"}
	}
	batch := clustertest.NewBatch(memory.DefaultAllocator, p, schemas.OffsetRange{First: from, End: from + int64(rows)}, pointsDim, posts)
	defer batch.Release()
	pairs := r.pairs[(int(p.ID)+int(from)/rows)%len(r.pairs)]
	pairs.Retain()
	batch.SetPairs(pairs)
	return claim.Fold(ctx, batch)
}

// stopwatch measures what is asked of a store.
type stopwatch struct {
	cluster.CentroidStore
	mu   *sync.Mutex
	took *[]float64 // milliseconds of each fold
}

func (t stopwatch) Fold(ctx context.Context, r cluster.FoldRequest) (cluster.FoldReply, error) {
	began := time.Now()
	reply, err := t.CentroidStore.Fold(ctx, r)
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.took = append(*t.took, time.Since(began).Seconds()*1000)
	return reply, err
}

// contest runs one on Redis. Its workers are stages with connections of their
// own, as processes have.
func (b *bench) contest(ctx context.Context, c contest, r *ring) (f contestFigures, err error) {
	b.runs++
	namespace := fmt.Sprintf("contest-%03d", b.runs)
	var mu sync.Mutex
	var took []float64
	var claims []*cluster.Claim
	for w := range c.workers {
		client, err := redis.Dial(ctx, redis.Config{Addr: b.redis, Timeout: time.Minute}, redis.Settings{})
		if err != nil {
			return f, err
		}
		defer client.Close() //nolint:errcheck // what it was for is over
		store := client.Store(namespace, "bench")
		if w == 0 {
			if err := cluster.Restore(ctx, store, r.state, false); err != nil {
				return f, err
			}
		}
		config := cluster.DefaultConfig()
		config.K = c.clusters
		stage, err := cluster.New(config, cluster.Settings{
			Store: stopwatch{store, &mu, &took}, Namespace: namespace, ModelDigest: "bench", Dim: pointsDim, Now: time.Now, Alloc: memory.DefaultAllocator,
		})
		if err != nil {
			return f, err
		}
		for p := w; p < c.partitions; p += c.workers {
			at := contestPartition(len(claims))
			claim, err := stage.Claim(ctx, at, cluster.Position{Base: -1, Committed: -1, LogEnd: math.MaxInt64})
			if err == nil {
				err = r.fold(ctx, claim, at, c.rows) // which also reads the centroids
			}
			if err != nil {
				return f, err
			}
			claims = append(claims, claim)
		}
	}
	server := goredis.NewClient(&goredis.Options{Addr: b.redis})
	defer server.Close() //nolint:errcheck // nothing is on its way
	before, err := readServer(ctx, server)
	if err != nil {
		return f, err
	}
	took = nil
	began, spent, folds := time.Now(), processorTime(), make([]int, len(claims))
	errs := make([]error, len(claims))
	var group sync.WaitGroup
	for i, claim := range claims {
		group.Go(func() {
			random := newRandom(i, 5)
			for time.Since(began) < c.span() && errs[i] == nil {
				if c.folds > 0 {
					between := time.Duration(random.ExpFloat64() * float64(len(claims)) / float64(c.folds) * float64(time.Second))
					errs[i] = stages.Sleep(ctx, between)
				}
				errs[i] = errors.Join(errs[i], r.fold(ctx, claim, contestPartition(i), c.rows))
				folds[i]++
			}
		})
	}
	group.Wait()
	lasted, spent := time.Since(began), processorTime()-spent
	after, err := readServer(ctx, server)
	if err := errors.Join(append(errs, err, server.FlushDB(ctx).Err())...); err != nil {
		return f, err
	}
	total := 0
	for _, n := range folds {
		total += n
	}
	posts := float64(total * c.rows)
	slices.Sort(took)
	f = contestFigures{
		rate: posts / lasted.Seconds(), tries: float64(len(took)) / float64(total), cpu: spent.Seconds() * 1e6 / posts,
		redisCPU: (after.seconds - before.seconds) * 1e6 / posts, redisKB: (after.bytes - before.bytes) / 1000 / posts, reply: took[len(took)/2],
	}
	b.say("  k=%d, %d partitions, %d workers, %d rows, %d folds/s: %s posts/s, %s tries a fold, %s+%s µs and %s kB a post, %s ms",
		c.clusters, c.partitions, c.workers, c.rows, c.folds, short(f.rate), short(f.tries), short(f.cpu), short(f.redisCPU), short(f.redisKB), short(f.reply))
	return f, nil
}

func contestPartition(i int) schemas.Partition {
	return schemas.Partition{Topic: "posts", ID: int32(i)} //nolint:gosec // a few
}

// serverUse is what a Redis has used since it began.
type serverUse struct{ seconds, bytes float64 }

func readServer(ctx context.Context, server *goredis.Client) (u serverUse, err error) {
	info, err := server.Info(ctx).Result()
	for l := range strings.Lines(info) {
		name, text, _ := strings.Cut(strings.TrimSpace(l), ":")
		to := map[string]*float64{
			"used_cpu_sys": &u.seconds, "used_cpu_user": &u.seconds, "total_net_input_bytes": &u.bytes, "total_net_output_bytes": &u.bytes,
		}[name]
		if to == nil {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return u, fmt.Errorf("redis: info: %s: %w", name, err)
		}
		*to += value
	}
	return u, err
}

// rings are those that there are already, by clusters and rows.
type rings map[[2]int]*ring

func (r rings) get(ctx context.Context, c contest) (*ring, error) {
	key := [2]int{c.clusters, c.rows}
	if r[key] == nil {
		fresh, err := newRing(ctx, c.clusters, c.rows)
		if err != nil {
			return nil, err
		}
		r[key] = fresh
	}
	return r[key], nil
}

// contention lets one thing of a contest grow at a time.
func (b *bench) contention(ctx context.Context, known rings) error {
	usual := contest{clusters: clusters, partitions: 16, workers: 1, rows: pointsBatch}
	collisions := []string{"posts/s", "tries/fold", "CPU µs/post"}
	costs := []string{"posts/s", "CPU µs/post", "Redis CPU µs/post", "Redis kB/post", "ms/reply"}
	for _, row := range []struct {
		what   string
		values []int
		units  []string
		set    func(c *contest, value int)
	}{
		{"workers in conflict, 4 partitions", []int{1, 2, 4}, collisions, func(c *contest, v int) { c.partitions, c.workers = 4, v }},
		{"workers in conflict, 16 partitions", []int{1, 2, 4}, collisions, func(c *contest, v int) { c.workers = v }},
		{"workers in conflict, 64 partitions", []int{1, 2, 4}, collisions, func(c *contest, v int) { c.partitions, c.workers = 64, v }},
		{"workers in conflict, 1000 clusters", []int{1, 2, 4}, collisions, func(c *contest, v int) { c.clusters, c.workers = 1000, v }},
		{"folds a second in conflict, 4 workers", []int{25, 50, 100, 200, 400}, collisions, func(c *contest, v int) { c.workers, c.folds = 4, v }},
		{"partitions, folding alone", []int{1, 4, 16, 64}, costs, func(c *contest, v int) { c.partitions = v }},
		{"clusters, folding alone", []int{4, 64, 1000, 10_000}, costs, func(c *contest, v int) { c.clusters = v }},
		{"clusters, 2 workers folding alone", []int{4, 64, 1000, 10_000}, costs, func(c *contest, v int) { c.clusters, c.workers = v, 2 }},
		{"rows a batch, folding alone", []int{16, 64, 256, 1024}, costs, func(c *contest, v int) { c.rows = v }},
	} {
		var first contestFigures
		for i, v := range row.values {
			c := usual
			row.set(&c, v)
			r, err := known.get(ctx, c)
			if err != nil {
				return err
			}
			f, err := b.contest(ctx, c, r)
			if err != nil {
				return err
			}
			if i == 0 {
				first = f
				continue
			}
			name := fmt.Sprintf("%d ÷ %d %s", v, row.values[0], row.what)
			now, then := f.byUnit(), first.byUnit()
			for _, unit := range row.units {
				b.table.add(about{growthName, name, unit, goal{}, ""}, now[unit], then[unit])
			}
		}
	}
	return nil
}
