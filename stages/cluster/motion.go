package cluster

import (
	"cmp"
	"math"
	"slices"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

const (
	// noveltySigmas is how far above the mean squared distance a pair is
	// novel.
	noveltySigmas = 3
	// noveltyWeight is how much a cluster must weigh before its spread says
	// anything.
	noveltyWeight = 16
	// distanceNoise is what float32 makes of a squared distance of zero.
	distanceNoise = 1e-5
)

// assign writes the nearest centroid of the pairs at which into as. Their
// vectors are rows of xs.
func (c *centroids) assign(xs vectors.Matrix, pairs []pair, as []assignment, which []int) {
	rows := make([]int32, len(which))
	for i, at := range which {
		rows[i] = int32(pairs[at].row) //nolint:gosec // a row of a batch
	}
	for i, m := range c.panels.Nearest(xs, rows) {
		at := which[i]
		d := distance(pairs[at].norm, m.Score)
		as[at] = assignment{
			cluster: c.ids[m.At], status: schemas.ClusterAssigned, distance: d,
			novel: c.rows[m.At].novel(d), version: c.version,
		}
	}
}

// novel says whether a squared distance lies far outside the cluster: above
// mean + 3σ of what was folded into it.
func (r *row) novel(distance float32) bool {
	if r.weight < noveltyWeight {
		return false
	}
	mean := r.s2 / r.weight
	sigma := math.Sqrt(max(0, r.s4/r.weight-mean*mean))
	return float64(distance) > mean+noveltySigmas*sigma+distanceNoise
}

// decay is what a weight of 1 has become after some pairs.
func decay(pairs int64, halfLife float64) float64 {
	return math.Exp2(-float64(max(0, pairs)) / halfLife)
}

// weightAt is the decayed weight at a later pair clock.
func (r *row) weightAt(clock int64, halfLife float64) float64 {
	return r.weight * decay(clock-r.touched, halfLife)
}

// sums are what a batch adds to one centroid.
type sums struct {
	x               []float64
	weight, s2, s4  float64
	labels          [schemas.Relations]float64
	count, checksum uint64
	nearest         []representative
}

func (s *sums) add(p *pair, distance float32, clock int64) {
	if s.x == nil {
		s.x = make([]float64, len(p.x))
	}
	vectors.Add(s.x, p.x)
	d := float64(distance)
	s.weight++
	s.s2 += d
	s.s4 += d * d
	if p.label >= 0 {
		s.labels[p.label]++
	}
	s.count++
	s.checksum += p.checksum
	if p.post != "" {
		s.nearest = append(s.nearest, representative{post: p.post, distance: distance, at: clock})
	}
}

// scale makes each pair of the sums weigh more or less; counts stay.
func (s *sums) scale(by float64) {
	for i := range s.x {
		s.x[i] *= by
	}
	s.weight *= by
	s.s2 *= by
	s.s4 *= by
	for i := range s.labels {
		s.labels[i] *= by
	}
}

// fold returns the row after a batch, at the pair clock after that batch.
// The tag is the caller's to set.
func (r *row) fold(s *sums, clock int64, halfLife float64) *row {
	by := decay(clock-r.touched, halfLife)
	next := &row{
		weight: by*r.weight + s.weight, s2: by*r.s2 + s.s2, s4: by*r.s4 + s.s4,
		touched: max(r.touched, clock),
		count:   r.count + s.count, checksum: r.checksum + s.checksum,
		reported: r.reported,
	}
	for i := range next.labels {
		next.labels[i] = by*r.labels[i] + s.labels[i]
	}
	next.mean = vectors.Move(s.x, r.mean, by*r.weight, next.weight)
	next.nearest = closest(slices.Concat(r.nearest, s.nearest), clock, halfLife)
	return next
}

// closest keeps the representatives that are near the centroid and recent: a
// distance doubles with each half-life. One post counts once.
func closest(all []representative, clock int64, halfLife float64) []representative {
	if len(all) == 0 {
		return nil
	}
	type ageing struct {
		representative
		aged float64
	}
	sorted := make([]ageing, len(all))
	for i, p := range all {
		sorted[i] = ageing{p, (float64(p.distance) + distanceNoise) / decay(clock-p.at, halfLife)}
	}
	slices.SortFunc(sorted, func(a, b ageing) int {
		return cmp.Or(cmp.Compare(a.aged, b.aged), cmp.Compare(b.at, a.at), cmp.Compare(a.post, b.post))
	})
	kept := make([]representative, 0, maxRepresentatives)
	for _, p := range sorted {
		if len(kept) == maxRepresentatives {
			break
		}
		if !slices.ContainsFunc(kept, func(k representative) bool { return k.post == p.post }) {
			kept = append(kept, p.representative)
		}
	}
	return kept
}

const (
	// deadShare of the median weight is what a centroid must fall below to
	// be retired.
	deadShare = 0.02
	// apart is the squared distance below which a pair is no reason for a
	// new centroid.
	apart = 1e-4
)

// newborn is a change in the set of centroids.
type newborn struct {
	// replaces is the centroid that is retired; "" while there are fewer
	// than k.
	replaces string
	// pair starts the new centroid; −1 when there are more than k.
	pair int
}

// reseed says which centroid is dead, and which pair of the batch shall start
// another in its place. At most one a batch: each is compared with all.
func (s *Stage) reseed(c *centroids, pairs []pair, as []assignment, clock int64) (newborn, bool) {
	if len(pairs) == 0 {
		return newborn{}, false
	}
	var dead string
	if len(c.ids) >= s.config.K {
		if dead = s.dead(c, as, clock); dead == "" {
			return newborn{}, false
		}
		if len(c.ids) > s.config.K {
			return newborn{replaces: dead, pair: -1}, true
		}
	}
	seed := s.far(as)
	return newborn{replaces: dead, pair: seed}, seed >= 0
}

// dead returns the lightest centroid that weighs under 2 % of the median, has
// been idle for a half-life, and gets nothing of this batch.
func (s *Stage) dead(c *centroids, as []assignment, clock int64) string {
	halfLife := s.config.halfLife()
	idle := func(r *row) bool { return float64(clock-r.touched) >= halfLife }
	if !slices.ContainsFunc(c.rows, idle) {
		return ""
	}
	weights := make([]float64, len(c.rows))
	for i, r := range c.rows {
		weights[i] = r.weightAt(clock, halfLife)
	}
	sorted := slices.Sorted(slices.Values(weights))
	lightest, limit := "", deadShare*sorted[len(sorted)/2]
	for i, id := range c.ids {
		if weights[i] < limit && idle(c.rows[i]) && !slices.ContainsFunc(as, func(a assignment) bool { return a.cluster == id }) {
			lightest, limit = id, weights[i]
		}
	}
	return lightest
}

// far picks a pair with probability in proportion to its squared distance, as
// k-means++ does: the very farthest is usually noise.
func (s *Stage) far(as []assignment) int {
	var sum float64
	for _, a := range as {
		if a.distance > apart {
			sum += float64(a.distance)
		}
	}
	if sum == 0 {
		return -1
	}
	at, chosen := s.float64()*sum, -1
	for i, a := range as {
		if a.distance > apart {
			chosen = i
			if at -= float64(a.distance); at <= 0 {
				break
			}
		}
	}
	return chosen
}
