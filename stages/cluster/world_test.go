package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/cluster/clustertest"
)

// world is a Kafka of a few partitions, a store, and the processes that work
// on them. It moves only one worker at a time, at each call to the store or to
// Kafka, in an order that its seed decides; see exactly-once in the pipeline's
// documents for the model that this translates.
type world struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	store  *clustertest.Memory
	// rollback lets the store go back in time.
	rollback bool

	mu      sync.Mutex
	now     time.Time
	parts   []*part
	actors  []*actor
	late    []func() // requests still on their way when their caller gave up
	history []func() // earlier states of the store
	kept    []cluster.Snapshot
	rolled  bool
	folded  map[string]string // pair → cluster, as the store has recorded
	events  int
	hits    map[string]int
	failure string
}

// part is one partition as Kafka knows it.
type part struct {
	id         schemas.Partition
	posts      []clustertest.Post // gaps between their offsets
	end        int64
	generation int
	epoch      int
	committed  int64
	base       int64
	out        []outcome
	events     int
}

type outcome struct {
	offset int64
	pairs  []assigned
}

// process is what dies as a whole: the partitions of one stage.
type process struct {
	stage  *cluster.Stage
	killed bool
}

// actor is one process's work on one partition in one generation.
type actor struct {
	name       int
	process    *process
	part       *part
	generation int
	random     *rand.Rand
	turn       chan struct{}
	parked     bool
	done       bool
}

var errKilled = errors.New("killed")

type actorKey struct{}

const (
	worldDim = 6
	worldK   = 3
)

func newWorld(t *testing.T, seed uint64, rollback bool) *world {
	w := &world{
		t: t, seed: seed, rollback: rollback, now: epoch,
		random: rand.New(rand.NewPCG(seed, 2)),
		folded: map[string]string{}, hits: map[string]int{},
	}
	w.store = clustertest.NewMemory(w.clock)
	m := clustertest.NewMixture(5, worldDim, 0.03, seed)
	for i := range 1 + w.random.IntN(3) {
		p := &part{id: partition(int32(i)), end: 30 + w.random.Int64N(30), generation: 1, committed: -1, base: -1}
		for o := range p.end {
			if w.random.IntN(5) == 0 {
				continue
			}
			post := clustertest.Post{Offset: o, ID: fmt.Sprintf("posts/%d/%06d", i, o)}
			if n := len(p.posts); n > 0 && w.random.IntN(4) == 0 {
				// Mostly of a post that a centroid may still name.
				post.Op, post.ID = schemas.OpDelete, p.posts[max(0, n-1-w.random.IntN(6))].ID
				p.posts = append(p.posts, post)
				continue
			}
			for range w.random.IntN(3) {
				// Two components come late and two go early, so that
				// centroids die and are born.
				c := w.random.IntN(3)
				if o > p.end/3 {
					c += 2
				}
				post.Embeddings = append(post.Embeddings, m.Draw(c))
			}
			if w.random.IntN(10) == 0 {
				post.Embeddings = append(post.Embeddings, nil)
			}
			p.posts = append(p.posts, post)
		}
		w.parts = append(w.parts, p)
	}
	w.save()
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) newProcess() *process {
	c := cluster.DefaultConfig()
	c.K, c.Bootstrap, c.HalfLife, c.ReportEvery = worldK, 8, 3, 20*time.Millisecond
	s, err := cluster.New(c, cluster.Settings{
		Store: &gated{w: w}, Namespace: "world", ModelDigest: "sha256:0", Dim: worldDim,
		Now: w.clock, Rand: seeded(w.random.Uint64()),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return &process{stage: s}
}

// start puts a process to work on a partition.
func (w *world) start(pr *process, p *part) {
	a := &actor{
		name: len(w.actors), process: pr, part: p, generation: p.generation,
		random: rand.New(rand.NewPCG(w.random.Uint64(), 3)), turn: make(chan struct{}),
	}
	w.actors = append(w.actors, a)
	go func() {
		err := w.work(context.WithValue(context.Background(), actorKey{}, a), a)
		if err != nil && !errors.Is(err, errKilled) {
			w.fail("actor %d on %s: %v", a.name, p.id, err)
		}
		w.mu.Lock()
		a.done = true
		w.mu.Unlock()
	}()
}

// gate is where the world may move, and where a killed process ends.
func (w *world) gate(ctx context.Context) error {
	a := ctx.Value(actorKey{}).(*actor)
	w.mu.Lock()
	if a.process.killed {
		w.mu.Unlock()
		return errKilled
	}
	a.parked = true
	w.mu.Unlock()
	<-a.turn
	w.mu.Lock()
	defer w.mu.Unlock()
	a.parked = false
	if a.process.killed {
		return errKilled
	}
	return nil
}

// save remembers the store's state for a rollback.
func (w *world) save() {
	restore := w.store.Save()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, restore)
	w.history = w.history[max(0, len(w.history)-8):]
}

// run moves the world until every partition is read, emitted and folded.
func (w *world) run() {
	pr := []*process{w.newProcess(), w.newProcess()}
	for _, p := range w.parts {
		w.start(pr[w.random.IntN(2)], p)
	}
	chaos := w.random.IntN(15)
	for step := 0; ; step++ {
		synctest.Wait()
		if w.failure != "" || step > 50_000 {
			w.fail("stuck")
			w.stop()
			return
		}
		w.mu.Lock()
		w.now = w.now.Add(time.Millisecond)
		var parked []*actor
		alive := 0
		for _, a := range w.actors {
			if !a.done {
				alive++
			}
			if a.parked {
				parked = append(parked, a)
			}
		}
		w.mu.Unlock()
		if alive == 0 {
			if w.finished() {
				return
			}
			fresh := w.newProcess()
			for _, p := range w.parts {
				w.start(fresh, p)
			}
			continue
		}
		if w.rollback && w.random.IntN(60) == 0 {
			w.keep()
		}
		if chaos > 0 && w.random.IntN(30) == 0 {
			chaos--
			w.disturb()
			continue
		}
		if len(w.late) > 0 && w.random.IntN(10) == 0 {
			i := w.random.IntN(len(w.late))
			apply := w.late[i]
			w.late = slices.Delete(w.late, i, i+1)
			apply()
			continue
		}
		if len(parked) == 0 {
			time.Sleep(time.Millisecond) // somebody waits for time to pass
			continue
		}
		a := parked[w.random.IntN(len(parked))]
		// A worker that has lost its partition sleeps most of the time.
		if a.generation != a.part.generation && w.random.IntN(3) > 0 {
			continue
		}
		a.turn <- struct{}{}
	}
}

// stop ends all workers after a failure.
func (w *world) stop() {
	for {
		synctest.Wait()
		alive := false
		for _, a := range w.actors {
			a.process.killed = true
			alive = alive || !a.done
			if a.parked {
				a.turn <- struct{}{}
				synctest.Wait()
			}
		}
		if !alive {
			return
		}
		time.Sleep(time.Second)
	}
}

// disturb kills a process, moves a partition away from a worker that does not
// notice, or takes the store back in time.
func (w *world) disturb() {
	p := w.parts[w.random.IntN(len(w.parts))]
	owners := slices.DeleteFunc(slices.Clone(w.actors), func(a *actor) bool {
		return a.part != p || a.generation != p.generation || a.done
	})
	switch n := w.random.IntN(10); {
	case n < 4 && len(owners) > 0:
		w.hits["kill"]++
		dead := owners[0].process
		dead.killed = true
		fresh := w.newProcess()
		for _, p := range w.parts {
			if slices.ContainsFunc(w.actors, func(a *actor) bool {
				return a.process == dead && a.part == p && a.generation == p.generation && !a.done
			}) {
				p.generation++
				w.start(fresh, p)
			}
		}
	case n < 7 && len(owners) > 0:
		w.hits["zombie"]++
		p.generation++
		var others []*process
		for _, a := range w.actors {
			if !a.process.killed && a.process != owners[0].process {
				others = append(others, a.process)
			}
		}
		if len(others) == 0 || w.random.IntN(2) == 0 {
			others = []*process{w.newProcess()}
		}
		w.start(others[w.random.IntN(len(others))], p)
	case w.rollback:
		w.rolled = true
		if n == 9 && w.random.IntN(2) == 0 {
			w.hits["loss"]++
			w.store.Lose()
			return
		}
		if n == 8 && len(w.kept) > 0 {
			w.hits["restore"]++
			if err := cluster.Restore(context.Background(), w.store, w.kept[w.random.IntN(len(w.kept))], true); err != nil {
				w.fail("restore: %v", err)
			}
			return
		}
		w.hits["rollback"]++
		w.history[w.random.IntN(len(w.history))]()
	}
}

// keep takes a snapshot, through the file that it would lie in.
func (w *world) keep() {
	s, err := w.store.Snapshot(context.Background())
	if err != nil || s.Incarnation == "" {
		return
	}
	var file bytes.Buffer
	if err := cluster.WriteSnapshot(&file, cluster.Origin{Dim: worldDim}, s); err != nil {
		w.fail("write: %v", err)
	}
	if _, s, err = cluster.ReadSnapshot(&file); err != nil {
		w.fail("read: %v", err)
	}
	w.kept = append(w.kept, s)
}

func (w *world) finished() bool {
	for _, p := range w.parts {
		_, cursor, ok, _ := w.store.Cursor(context.Background(), p.id)
		if p.committed != p.end || !ok || cursor != p.end {
			return false
		}
	}
	return true
}

// work is what the pipeline's runner does with one partition.
func (w *world) work(ctx context.Context, a *actor) error {
	for {
		if err := w.gate(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		p := a.part
		if p.generation != a.generation { // the heartbeat says so
			w.mu.Unlock()
			return nil
		}
		p.epoch++
		fence := p.epoch
		w.mu.Unlock()
		if err := w.gate(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		at := cluster.Position{Base: p.base, Committed: p.committed, LogEnd: p.end}
		w.mu.Unlock()
		c, err := a.process.stage.Claim(ctx, p.id, at)
		if err == nil {
			var done bool
			done, err = w.follow(ctx, a, c, fence)
			if done {
				return nil
			}
		}
		var away *stages.Transient
		if err != nil && !errors.As(err, &away) && !errors.Is(err, cluster.ErrClaimAgain) && !errors.Is(err, cluster.ErrFenced) {
			return err
		}
	}
}

// follow works from a claim until there is nothing left, or the claim has to
// be made again.
func (w *world) follow(ctx context.Context, a *actor, c *cluster.Claim, fence int) (done bool, err error) {
	k, p := c.From(), a.part
	at := min(k, c.Cursor())
	for {
		if at >= p.end || a.random.IntN(3) == 0 {
			behind, err := c.Behind(ctx, at)
			if err != nil || behind {
				return false, err
			}
			if at >= p.end {
				return true, nil
			}
		}
		to := min(p.end, at+1+a.random.Int64N(6))
		for _, cut := range []int64{k, c.Cursor()} {
			if at < cut && cut < to {
				to = cut
			}
		}
		b := w.batch(p, at, to)
		if at >= c.Cursor() {
			err = w.fold(ctx, c, b)
		} else {
			err = c.Recall(ctx, b)
		}
		if err == nil && at >= k {
			if err = w.gate(ctx); err == nil {
				if !w.commit(a, fence, b, c.Base()) || a.random.IntN(20) == 0 {
					b.Release()
					return false, nil // refused, or nobody knows
				}
				k = to
			}
		}
		b.Release()
		if err != nil {
			return false, err
		}
		at = to
	}
}

// fold repeats what fails for a while, as the runner does.
func (w *world) fold(ctx context.Context, c *cluster.Claim, b *schemas.Batch) error {
	for {
		err := c.Fold(ctx, b)
		var away *stages.Transient
		if !errors.As(err, &away) {
			return err
		}
		if err := w.gate(ctx); err != nil {
			return err
		}
	}
}

func (w *world) batch(p *part, from, to int64) *schemas.Batch {
	var posts []clustertest.Post
	for _, post := range p.posts {
		if from <= post.Offset && post.Offset < to {
			posts = append(posts, post)
		}
	}
	return clustertest.NewBatch(memory.DefaultAllocator, p.id, schemas.OffsetRange{First: from, End: to}, worldDim, posts)
}

// commit is a transaction: it emits the batch and moves the group's offset,
// if the producer and the generation are still the current ones.
func (w *world) commit(a *actor, fence int, b *schemas.Batch, base int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := a.part
	if p.epoch != fence || p.generation != a.generation {
		return false
	}
	as := columns(b)
	for _, post := range p.posts {
		if b.Offsets.First <= post.Offset && post.Offset < b.Offsets.End {
			p.out = append(p.out, outcome{post.Offset, as[:len(post.Embeddings)]})
			as = as[len(post.Embeddings):]
		}
	}
	p.events += len(b.Events)
	p.committed, p.base = b.Offsets.End, base
	return true
}
