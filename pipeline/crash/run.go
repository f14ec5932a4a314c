package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/pipeline/session"
	"github.com/itrstream/itrstream/stages"
)

const (
	workers = 2
	// sessionTimeout is the workers'; a zombie sleeps longer.
	sessionTimeout = 3 * time.Second
	// pointWithin is how long an armed worker may take to get to its point.
	pointWithin = 15 * time.Second
	// settleWithin is how long healthy workers may take for what is left.
	settleWithin = 3 * time.Minute
	stopWithin   = 20 * time.Second
	stuckAfter   = 12 * time.Second
	// feed is how many posts are sent at once, every feedEvery.
	feed      = 6
	feedEvery = 100 * time.Millisecond
)

// run is one beginning, many crashes, and one judgement.
type run struct {
	options
	number, total, before int
	crashes               int
	random                *rand.Rand
	hits                  map[stages.CrashPoint]int
	points                *queue

	dir      string
	services *services
	plan     *plan
	workers  [workers]*worker
	started  int
	done     int
}

var noService = regexp.MustCompile(`crash: (kafka: no broker of|kafka: .*(EOF|refused|reset by peer)|no Redis to keep the centroids in)`)

// nobodyAnswers reports whether a worker ended because it was started while
// the broker or Redis was down: whoever has started it starts it again.
func (w *worker) nobodyAnswers() bool {
	return noService.MatchString(w.Tail())
}

// worker is a process with a date.
type worker struct {
	*session.Process
	point stages.CrashPoint // empty: it lives
	hit   string            // file that it makes before it dies there
}

// died reports whether the worker got to its point.
func (w *worker) died() bool {
	_, err := os.Stat(w.hit)
	return err == nil
}

func (r *run) do(ctx context.Context) (v oracle.Verdict, err error) {
	defer session.Recover(&err)
	if r.dir, err = os.MkdirTemp("", "itrstream-crash-"); err != nil {
		return v, err
	}
	rollback := r.number%2 == 1
	r.plan = newPlan(r.random, r.number, rollback, r.points)
	s := session.New(r.dir)
	defer s.End()
	writer := oracle.NewWriter(r.random.Uint64())
	if r.services, err = r.startServices(ctx, s, writer); err != nil {
		return v, err
	}
	writer.Slow = r.services.images
	s.Cleanup(func() {
		for _, w := range r.workers {
			if w != nil {
				w.Kill()
			}
		}
	})
	for i := range r.workers {
		if err := r.start(i, true); err != nil {
			return v, err
		}
	}
	o, err := oracle.New(ctx, []string{r.services.kafkaProxy.addr()}, topics)
	if err != nil {
		return v, err
	}
	defer o.Close()

	fed := make(chan error, 1)
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	go func() { fed <- feedPosts(feeding, o, writer) }()
	if err := r.disturb(ctx); err != nil {
		return v, err
	}
	stop()
	if err := <-fed; err != nil {
		return v, err
	}
	return r.judge(ctx, o, oracle.Rules{Rollback: rollback, Collected: true})
}

// feedPosts writes and reads until ctx ends. Errors of writing are the
// disturbances'.
func feedPosts(ctx context.Context, o *oracle.Oracle, w *oracle.Writer) error {
	for ctx.Err() == nil {
		produce, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		_ = o.Produce(produce, w.Many(feed)...)
		cancel()
		if _, err := o.Poll(ctx); err != nil {
			return err
		}
		_ = stages.Sleep(ctx, feedEvery)
	}
	return nil
}

// start starts a worker, armed or not.
func (r *run) start(i int, armed bool) error {
	if was := r.workers[i]; was != nil && was.point != "" && !was.died() {
		r.points.missed(was.point)
	}
	r.started++
	w := &worker{hit: filepath.Join(r.dir, fmt.Sprintf("hit-%d", r.started))}
	args := []string{"worker", "--hit", w.hit}
	if armed {
		point, pass := r.plan.point()
		w.point = point
		args = append(args, "--point", string(point), "--pass", fmt.Sprint(pass))
	}
	for _, s := range []string{
		"kafka.delivery=exactly_once", "kafka.brokers=" + r.services.kafkaProxy.addr(), "redis.addr=" + r.services.redisProxy.addr(), "redis.timeout=2s",
		"model.bundle=" + r.bundle, "model.threads=1",
		"kafka.session_timeout=" + sessionTimeout.String(), "kafka.heartbeat_interval=500ms", "kafka.rebalance_timeout=6s", "shutdown.timeout=4s",
		"kafka.fetch_max_wait=50ms", "topics.partitions=3", "topics.replication_factor=1", "batch.max_rows=8",
		"cluster.k=4", "cluster.bootstrap=48", "cluster.half_life=15", "cluster.report_every=0s",
		"fetch.allow_networks=127.0.0.0/8", "fetch.ports=" + r.services.imagePort, "log.level=info", "ops.addr=",
		// A worker that slept in the middle of a put must not take the store for away.
		"collect.images=file://" + r.images(), "collect.rate=1", "collect.timeout=30s",
	} {
		args = append(args, "--set", s)
	}
	var err error
	w.Process, err = session.StartAgain(filepath.Join(r.dir, fmt.Sprintf("worker-%d.log", i)), args...)
	r.workers[i] = w
	return err
}

// disturb follows the plan until there were enough crashes.
func (r *run) disturb(ctx context.Context) error {
	for r.done < r.crashes {
		s := r.plan.next()
		before := r.done
		if err := r.watch(ctx, s.pause, func() bool { return false }); err != nil {
			return err
		}
		if r.done >= r.crashes {
			return nil
		}
		var err error
		if s.kind == killAtPoint {
			err = r.watch(ctx, pointWithin, func() bool { return r.done > before })
			if err == nil && r.done == before {
				s.kind = killAnywhere // nobody gets to its point
			}
		}
		if err == nil && s.kind != killAtPoint {
			err = r.carryOut(ctx, s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.kind, err)
		}
	}
	return nil
}

// watch replaces workers that have died at their points, for a time or until
// enough.
func (r *run) watch(ctx context.Context, limit time.Duration, enough func() bool) error {
	for deadline := time.Now().Add(limit); ; {
		for i, w := range r.workers {
			if !w.Over() {
				continue
			}
			switch {
			case w.died():
				r.hits[w.point]++
				r.count("%s %s", killAtPoint, w.point)
			case !w.nobodyAnswers():
				return fmt.Errorf("worker %d ended by itself: %w%s", i, w.Err(), w.Tail())
			}
			if err := r.start(i, true); err != nil {
				return err
			}
		}
		if enough() || time.Now().After(deadline) {
			return nil
		}
		if err := stages.Sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *run) count(format string, args ...any) {
	r.done++
	fmt.Printf("[%d/%d] run %d: %s\n", r.before+r.done, r.total, r.number, fmt.Sprintf(format, args...))
}

func (r *run) carryOut(ctx context.Context, s step) error {
	w := r.workers[s.worker]
	switch s.kind {
	case killAnywhere:
		w.Kill()
		r.count("%s", s.kind)
		return r.start(s.worker, true)
	case leave:
		if err := w.Stop(stopWithin); err != nil {
			if w.died() {
				return nil // it died on the way; watch counts it
			}
			return err
		}
		return r.start(s.worker, true)
	case zombie:
		w.Signal(syscall.SIGSTOP)
		err := stages.Sleep(ctx, sessionTimeout+time.Duration(s.share*float64(sessionTimeout)))
		w.Signal(syscall.SIGCONT)
		r.count("%s", s.kind)
		return err
	case killBroker:
		r.services.broker.Kill()
		err := stages.Sleep(ctx, time.Duration(s.share*float64(time.Second)))
		r.services.broker.Restart()
		r.count("%s", s.kind)
		return err
	case killRedis, cutRedis:
		r.services.redis.Kill()
		if s.kind == cutRedis {
			if err := cut(r.services.redis.Dir(), s.share*s.share); err != nil {
				return err
			}
		}
		r.services.redis.Restart()
		r.count("%s", s.kind)
		return nil
	case stall:
		for _, p := range []*proxy{r.services.kafkaProxy, r.services.redisProxy}[:1+s.worker] {
			p.stall(true)
			defer p.stall(false)
		}
		return stages.Sleep(ctx, time.Duration(s.share*float64(sessionTimeout)))
	case killAtPoint:
	}
	return nil
}

// judge lets healthy workers do what is left, and asks the oracle.
func (r *run) judge(ctx context.Context, o *oracle.Oracle, rules oracle.Rules) (oracle.Verdict, error) {
	for i, w := range r.workers {
		w.Kill()
		if err := r.start(i, false); err != nil {
			return oracle.Verdict{}, err
		}
	}
	late := r.settle(ctx, o)
	if ctx.Err() != nil {
		return oracle.Verdict{}, ctx.Err()
	}
	// What Redis lost is folded again within a second or two.
	var c oracle.Centroids
	want, _ := o.Folded()
	for deadline := time.Now().Add(20 * time.Second); ; {
		var err error
		if c, err = oracle.ReadCentroids(ctx, r.services.redis.Addr(), group, o.Model()); err != nil {
			return oracle.Verdict{}, err
		}
		if c.Count == want || time.Now().After(deadline) {
			break
		}
		if err := stages.Sleep(ctx, 50*time.Millisecond); err != nil {
			return oracle.Verdict{}, err
		}
	}
	for _, w := range r.workers {
		if err := w.Stop(stopWithin); err != nil {
			return oracle.Verdict{}, err
		}
	}
	v := o.Judge(&c, rules)
	if err := r.checkImages(o, &v); err != nil {
		return v, err
	}
	if late != nil {
		v.Details = append(v.Details, late.Error())
	}
	return v, nil
}

// settle waits until every input has an outcome. The embedded broker never
// gives up a member that dies while it waits to join, and that member may own
// partitions, until the next rebalance: where nothing moves, a worker leaves
// and comes back. Apache Kafka gets no such help.
func (r *run) settle(ctx context.Context, o *oracle.Oracle) error {
	for deadline := time.Now().Add(settleWithin); ; {
		before := o.Outcomes()
		attempt, cancel := context.WithTimeout(ctx, time.Until(deadline))
		if !r.real {
			cancel()
			attempt, cancel = context.WithTimeout(ctx, stuckAfter)
		}
		err := o.Settle(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		if o.Outcomes() == before {
			if err := r.workers[0].Stop(stopWithin); err != nil {
				return err
			}
			if err := r.start(0, false); err != nil {
				return err
			}
		}
	}
}

// group is the workers' consumer group, and so the namespace in Redis.
const group = "itrstream"

func (r *run) remove() error {
	if r.keep {
		return nil
	}
	return os.RemoveAll(r.dir)
}
