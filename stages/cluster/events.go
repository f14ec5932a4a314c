package cluster

import (
	"math"

	"github.com/itrstream/itrstream/schemas"
)

func (s *Stage) event(kind, id string) schemas.ClusterEvent {
	return schemas.ClusterEvent{
		Schema: schemas.ClusterSchema, Type: kind, Cluster: id,
		ModelDigest: s.settings.ModelDigest, Namespace: s.settings.Namespace,
	}
}

// stateEvent is the type of the events that name posts.
const stateEvent = "state"

func (s *Stage) state(id string, r *row) schemas.ClusterEvent {
	e := s.event(stateEvent, id)
	e.Size, e.Count, e.Labels = r.weight, r.count, r.shares()
	e.Representatives = r.representatives()
	return e
}

func (r *row) representatives() []string {
	var posts []string
	for _, p := range r.nearest {
		posts = append(posts, p.post)
	}
	return posts
}

func (s *Stage) retired(id string, r *row, clock int64) schemas.ClusterEvent {
	e := s.event("retired", id)
	e.Size, e.Count = r.weightAt(clock, s.config.halfLife()), r.count
	return e
}

func (s *Stage) born(id string, r *row, parent string, old *row) schemas.ClusterEvent {
	e := s.event("born", id)
	e.Size, e.Count = r.weight, r.count
	if old != nil {
		e.Parent, e.Overlap = parent, cosine(r.mean, old.mean)
	}
	return e
}

// alarmEvent is the type of an event that no cluster asked for.
const alarmEvent = "alarm"

// alarm names the cluster that most of the novel pairs are nearest to.
func (s *Stage) alarm(as []assignment, share float64) schemas.ClusterEvent {
	counts := make(map[string]int)
	most := ""
	for _, a := range as {
		if !a.novel {
			continue
		}
		counts[a.cluster]++
		if n := counts[a.cluster]; most == "" || n > counts[most] || n == counts[most] && a.cluster < most {
			most = a.cluster
		}
	}
	e := s.event(alarmEvent, most)
	e.Novel = share
	return e
}

// shares is the label mix; nil while no pair had a relation.
func (r *row) shares() *schemas.Scores {
	var sum float64
	for _, w := range r.labels {
		sum += w
	}
	if sum == 0 {
		return nil
	}
	return &schemas.Scores{
		Neither:         r.labels[schemas.Neither] / sum,
		ImageAdds:       r.labels[schemas.ImageAdds] / sum,
		TextRepresented: r.labels[schemas.TextRepresented] / sum,
		Both:            r.labels[schemas.Both] / sum,
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
