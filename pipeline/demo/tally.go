package demo

import (
	"slices"
	"time"

	"github.com/itrstream/itrstream/pipeline/demo/assets"
	"github.com/itrstream/itrstream/schemas"
)

// tally counts outcomes, each input once: at-least-once delivery may repeat
// some.
type tally struct {
	posts       int
	expected    map[string]string // post id → the relation that the post was written for
	now         func() time.Time
	began       time.Time // the first outcome: until then the model loads and the group forms
	seen        map[string]bool
	results     int
	tombstones  int
	deadLetters int
	clusters    map[string]bool
	labels      map[string]int
	latencies   []time.Duration
	compared    int
	agreed      int
	model       schemas.ModelRef
}

func newTally(posts []assets.Message, now func() time.Time) *tally {
	t := &tally{
		posts: len(posts), now: now, expected: map[string]string{}, seen: map[string]bool{}, clusters: map[string]bool{}, labels: map[string]int{},
	}
	for _, name := range schemas.RelationNames() {
		t.labels[name] = 0
	}
	for _, p := range posts {
		if p.Expected != "" {
			t.expected[string(p.Key)] = p.Expected
		}
	}
	return t
}

func (t *tally) outcomes() int  { return t.results + t.tombstones + t.deadLetters }
func (t *tally) complete() bool { return t.outcomes() == t.posts }

// add reports whether the outcome is new.
func (t *tally) add(o outcome) bool {
	if t.seen[o.id] {
		return false
	}
	t.seen[o.id] = true
	if t.began.IsZero() {
		t.began = o.at
	}
	switch {
	case o.deadLetter:
		t.deadLetters++
	case o.result == nil:
		t.tombstones++
	default:
		t.addResult(o.result, o.at)
	}
	return true
}

func (t *tally) addResult(r *schemas.Result, at time.Time) {
	t.results++
	t.model = r.Model
	t.latencies = append(t.latencies, at.Sub(r.Input.Time))
	if r.Relation != "" {
		t.labels[r.Relation]++
	}
	for _, p := range r.Pairs {
		if p.Cluster != nil {
			t.clusters[*p.Cluster] = true
		}
	}
	if want, ok := t.expected[r.PostID]; ok && r.Relation != "" {
		t.compared++
		if want == r.Relation {
			t.agreed++
		}
	}
}

// Summary is what --json prints.
type Summary struct {
	PostsIn        int              `json:"posts_in"`
	Results        int              `json:"results"`
	Tombstones     int              `json:"tombstones"`
	DeadLetters    int              `json:"dead_letters"`
	Clusters       int              `json:"clusters"`
	Labels         map[string]int   `json:"labels"`
	PostsPerSecond float64          `json:"posts_per_second"`
	LatencyMS      Latency          `json:"latency_ms"`
	Model          schemas.ModelRef `json:"model"`
	Agreement      *Agreement       `json:"agreement,omitempty"`
	Dataset        *Collected       `json:"dataset,omitempty"`
}

// Collected is the data set that was asked for.
type Collected struct {
	Folder  string           `json:"folder"`
	Pairs   int64            `json:"pairs"`
	Shards  int              `json:"shards"`
	Dropped map[string]int64 `json:"dropped"` // pairs, by reason
}

func (c *Collected) dropped() (all int64) {
	for _, n := range c.Dropped {
		all += n
	}
	return all
}

// Latency is from produce to consume, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Agreement compares labels with the relation that a sample post was written
// for. It says how the demo reads, not how good the model is.
type Agreement struct {
	Agreed   int `json:"agreed"`
	Compared int `json:"compared"`
}

func (t *tally) summary() Summary {
	slices.Sort(t.latencies)
	quantile := func(q float64) float64 {
		if len(t.latencies) == 0 {
			return 0
		}
		return float64(t.latencies[min(int(q*float64(len(t.latencies))), len(t.latencies)-1)].Microseconds()) / 1000
	}
	s := Summary{
		PostsIn: t.posts, Results: t.results, Tombstones: t.tombstones, DeadLetters: t.deadLetters,
		Clusters: len(t.clusters), Labels: t.labels,
		LatencyMS: Latency{P50: quantile(.5), P99: quantile(.99)},
		Model:     t.model,
	}
	if spent := t.now().Sub(t.began); !t.began.IsZero() && spent > 0 {
		s.PostsPerSecond = float64(t.outcomes()-1) / spent.Seconds()
	}
	if t.compared > 0 {
		s.Agreement = &Agreement{Agreed: t.agreed, Compared: t.compared}
	}
	return s
}
