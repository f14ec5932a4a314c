package ops

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// waitingGrace is how long a wait for something outside may last before the
// process is no longer ready: retries come and go.
const waitingGrace = 5 * time.Second

// Health knows whether the process is alive and whether it is ready.
//
// Alive means that no activity has worked on one thing for longer than
// Config.StuckAfter: a restart may help. An activity that waits for something outside is
// alive however long that takes, as long as it keeps trying, for a restart would only wait again;
// but the process is not ready. Ready means that every condition holds, too.
type Health struct {
	stuckAfter time.Duration
	now        func() time.Time

	mu         sync.Mutex
	conditions []*Condition
	activities map[*Activity]struct{}
}

// NewHealth returns the health of a process that has no conditions yet.
func NewHealth(c Config, now func() time.Time) *Health {
	return &Health{stuckAfter: c.StuckAfter, now: now, activities: make(map[*Activity]struct{})}
}

// Condition is one thing that must hold for the process to be ready.
type Condition struct {
	name string

	mu     sync.Mutex
	ok     bool
	detail string
}

// Require adds a condition, which does not hold yet. Its name is a word.
func (h *Health) Require(name string) *Condition {
	c := &Condition{name: name, detail: "not yet"}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conditions = append(h.conditions, c)
	return c
}

// Set says whether the condition holds, and more about it.
func (c *Condition) Set(ok bool, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ok, c.detail = ok, detail
}

// State is how a condition is at the moment.
type State struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Activity is work that goes on one thing at a time, such as a stage of one
// partition.
type Activity struct {
	h    *Health
	name string

	mu      sync.Mutex
	on      fmt.Stringer // nil: idle
	alive   time.Time    // when it began, or last said that it waits
	waiting error        // why it cannot go on; nil: it does
	since   time.Time
}

// Watch adds an activity, idle at first. Its name ends a sentence's subject:
// "posts/3: infer".
func (h *Health) Watch(name string) *Activity {
	a := &Activity{h: h, name: name}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.activities[a] = struct{}{}
	return a
}

// Begin says that the activity works on something.
func (a *Activity) Begin(on fmt.Stringer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.on, a.alive, a.waiting = on, a.h.now(), nil
}

// End says that it is done with that.
func (a *Activity) End() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.on, a.waiting = nil, nil
}

// Wait says that something outside is away, and why; nil, that it is back. An
// activity that waits says so at every try, which is a sign of life.
func (a *Activity) Wait(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alive = a.h.now()
	if a.waiting == nil {
		a.since = a.alive
	}
	a.waiting = why
}

// Close forgets the activity.
func (a *Activity) Close() {
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	delete(a.h.activities, a)
}

// stuck says how the activity is stuck; empty when it is not.
func (a *Activity) stuck(now time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if took := now.Sub(a.alive); a.on != nil && took > a.h.stuckAfter {
		return fmt.Sprintf("%s has been on %s for %s without getting on", a.name, a.on, took.Round(time.Second))
	}
	return ""
}

// waits says what the activity has waited for beyond the grace.
func (a *Activity) waits(now time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if took := now.Sub(a.since); a.waiting != nil && took > waitingGrace {
		return fmt.Sprintf("%s has waited for %s: %v", a.name, took.Round(time.Second), a.waiting)
	}
	return ""
}

// each collects what say has to say of the activities, in order.
func (h *Health) each(say func(*Activity, time.Time) string) []string {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var said []string
	for a := range h.activities {
		if text := say(a, now); text != "" {
			said = append(said, text)
		}
	}
	slices.Sort(said)
	return said
}

// Alive returns what is stuck; nothing when the process is alive.
func (h *Health) Alive() (stuck []string) {
	return h.each((*Activity).stuck)
}

// Ready returns every condition and whether all hold. The last one, working,
// is that nothing is stuck or waits for something outside.
func (h *Health) Ready() (states []State, ready bool) {
	trouble := slices.Concat(h.each((*Activity).stuck), h.each((*Activity).waits))
	h.mu.Lock()
	conditions := slices.Clone(h.conditions)
	h.mu.Unlock()
	for _, c := range conditions {
		c.mu.Lock()
		states = append(states, State{c.name, c.ok, c.detail})
		c.mu.Unlock()
	}
	states = append(states, State{"working", len(trouble) == 0, strings.Join(trouble, "; ")})
	return states, !slices.ContainsFunc(states, func(s State) bool { return !s.OK })
}
