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
	round    []stages.CrashPoint
}

// early are the points that a run meets only at its beginning.
var early = []stages.CrashPoint{stages.DuringBootstrap, stages.BeforeInit, stages.AfterInit}

// rare points are met once in a while: a worker dies there the first time.
var rare = append([]stages.CrashPoint{
	stages.AfterInitProducer, stages.AfterClaim, stages.BeforeReseed, stages.AfterReseed, stages.DuringRevoke,
}, early...)

func newPlan(random *rand.Rand, rollback bool) *plan {
	p := &plan{random: random, rollback: rollback, young: slices.Clone(early)}
	random.Shuffle(len(p.young), func(i, j int) { p.young[i], p.young[j] = p.young[j], p.young[i] })
	return p
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
		if len(p.round) == 0 {
			p.round = slices.DeleteFunc(stages.CrashPoints(), func(c stages.CrashPoint) bool { return slices.Contains(early, c) })
			p.random.Shuffle(len(p.round), func(i, j int) { p.round[i], p.round[j] = p.round[j], p.round[i] })
		}
		at, p.round = p.round[0], p.round[1:]
	}
	if slices.Contains(rare, at) {
		return at, 1
	}
	return at, 1 + p.random.IntN(12)
}
