package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/itrstream/itrstream/stages"
)

// kind is a way to disturb.
type kind string

const (
	killAtPoint  kind = "worker killed at"
	killAnywhere kind = "worker killed anywhere"
	zombie       kind = "worker asleep beyond its session"
	killBroker   kind = "broker killed"
	killRedis    kind = "Redis killed"
	cutRedis     kind = "Redis killed and its file cut"
	stall        kind = "connections stalled"
	leave        kind = "worker stopped in order"
)

// step is one disturbance.
type step struct {
	kind  kind
	pause time.Duration // before it
	// worker is which one, and share a share of whatever the kind measures.
	worker int
	share  float64
}

// plan says what one run does. The same seed makes the same plan; what each
// disturbance meets is up to the machine.
type plan struct {
	random   *rand.Rand
	rollback bool // Redis may lose what it has acknowledged
	young    []stages.CrashPoint
	later    *queue
}

// early are the points that a run meets only at its beginning.
var early = []stages.CrashPoint{stages.DuringBootstrap, stages.BeforeInit, stages.AfterInit}

// rare points are met once in a while: a worker dies there the first time.
var rare = append([]stages.CrashPoint{
	stages.AfterInitProducer, stages.AfterClaim, stages.BeforeReseed, stages.AfterReseed, stages.DuringRevoke,
}, early...)

// newPlan returns the plan of the nth run. Only one worker makes the first
// centroids, and which one is open: both wait for the same point, in turn
// over the runs, and those that come after them for the others.
func newPlan(random *rand.Rand, n int, rollback bool, later *queue) *plan {
	at := func(i int) stages.CrashPoint { return early[(n+i)%len(early)] }
	return &plan{random: random, rollback: rollback, later: later, young: []stages.CrashPoint{at(0), at(0), at(1), at(2)}}
}

// queue holds the points of all runs but the early ones, in turn.
type queue struct {
	random *rand.Rand
	points []stages.CrashPoint
}

func (q *queue) next() stages.CrashPoint {
	// Never only those that workers wait for in vain.
	if len(q.points) <= workers {
		round := slices.DeleteFunc(stages.CrashPoints(), func(c stages.CrashPoint) bool { return slices.Contains(early, c) })
		q.random.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		q.points = append(q.points, round...)
	}
	at := q.points[0]
	q.points = q.points[1:]
	return at
}

// missed puts a point that a worker did not get to back behind the others.
func (q *queue) missed(at stages.CrashPoint) {
	if !slices.Contains(early, at) {
		q.points = append(q.points, at)
	}
}

func (p *plan) next() step {
	s := step{
		kind: killAtPoint, pause: time.Duration(p.random.IntN(1000)) * time.Millisecond,
		worker: p.random.IntN(workers), share: p.random.Float64(),
	}
	switch i := p.random.IntN(100); {
	case i < 6:
		s.kind = killAnywhere
	case i < 12:
		s.kind = zombie
	case i < 18:
		s.kind = killBroker
	case i < 24 && p.rollback:
		s.kind = cutRedis
	case i < 24:
		s.kind = killRedis
	case i < 29:
		s.kind = stall
	case i < 34:
		s.kind = leave
	}
	return s
}

// point says where the next worker dies, and the how manieth time it gets
// there: the first workers at the beginning's points, later ones at the others
// in turn.
func (p *plan) point() (stages.CrashPoint, int) {
	var at stages.CrashPoint
	if len(p.young) > 0 {
		at, p.young = p.young[0], p.young[1:]
	} else {
		at = p.later.next()
	}
	if slices.Contains(rare, at) {
		return at, 1
	}
	return at, 1 + p.random.IntN(12)
}
