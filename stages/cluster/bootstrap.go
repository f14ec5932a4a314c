package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// planSample adds pairs to the sample: while it fits all of them, and then in
// place of others, so that every pair so far is in it with equal probability.
// The totals count all of them.
func (s *Stage) planSample(p *plan, set *centroids, pairs []pair) error {
	if len(pairs) == 0 {
		return nil
	}
	var next totals
	var expect []byte
	if set.sample != nil {
		next = *set.sample
		expect = set.sample.tag[:]
	}
	for i := range pairs {
		at := next.count
		if at >= s.slots() {
			at = s.uint64N(next.count + 1)
		}
		if at < s.slots() {
			p.request.Slots = append(p.request.Slots, Slot{Index: int(at), Value: encodeMember(&pairs[i])}) //nolint:gosec // below slots
		}
		next.count++
		next.checksum += pairs[i].checksum
	}
	var err error
	if next.tag, err = s.newTag(); err != nil {
		return err
	}
	p.sample = &next
	p.request.Writes = append(p.request.Writes, Write{Kind: KindTotals, ID: SampleID, Expect: expect, Value: next.encode()})
	return nil
}

func (s *Stage) sampleFull(set *centroids) bool {
	return set.sampling() && set.sample != nil && set.sample.count >= s.config.bootstrap()
}

const (
	// leaseFor is renewed while k-means runs; a dead worker's ends by itself.
	leaseFor = 2 * time.Minute
	// freezeFor bounds how long the sample stands still for an init.
	freezeFor = 20 * time.Second
	// releaseWithin is how long giving the lease back may hold up a stop.
	releaseWithin = time.Second
	// slotsAtOnce keeps one read of the sample small.
	slotsAtOnce = 1024
)

// initialise makes the first centroids of the sample and installs them. One
// worker of all does; the others go on sampling meanwhile, and what they add
// is assigned to the centroids that were found. It returns the centroids to go
// on with, which are still sampling when somebody else is at it.
func (s *Stage) initialise(ctx context.Context, set *centroids) (*centroids, error) {
	if !s.initialising.TryLock() {
		return set, nil
	}
	defer s.initialising.Unlock()
	renew := func(ctx context.Context) (bool, error) { return s.settings.Store.Lease(ctx, s.holder, leaseFor, false) }
	if ok, err := renew(ctx); err != nil || !ok {
		return set, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
		defer cancel()
		if err := s.settings.Store.Release(ctx, s.holder); err != nil {
			s.settings.Log.WarnContext(ctx, "the lease for the first centroids was not given back; it ends by itself", "stage", "cluster", "error", err)
		}
	}()
	points, xs, err := s.members(ctx, set)
	if err != nil {
		return nil, err
	}
	means, err := s.firstMeans(ctx, points, xs, renew)
	if err != nil || means == nil {
		return set, err
	}
	if ok, err := s.settings.Store.Lease(ctx, s.holder, freezeFor, true); err != nil || !ok {
		return set, err
	}
	return s.install(ctx, set, points, xs, means)
}

// members reads the sample, and its vectors into one matrix. A slot may be
// newer than the totals say; the tag of the totals decides at the end.
func (s *Stage) members(ctx context.Context, set *centroids) (points []pair, xs vectors.Matrix, err error) {
	n := int(min(set.sample.count, s.slots())) //nolint:gosec // bounded by slots
	points = make([]pair, 0, n)
	xs = vectors.Matrix{Values: make([]float32, 0, n*s.settings.Dim), Dim: s.settings.Dim}
	for from := 0; from < n; from += slotsAtOnce {
		var at []int
		for i := from; i < min(n, from+slotsAtOnce); i++ {
			at = append(at, i)
		}
		values, err := s.settings.Store.Slots(ctx, at)
		if err != nil {
			return nil, xs, fmt.Errorf("cluster: read the sample: %w", err)
		}
		for _, v := range values {
			if v == nil { // somebody else has just installed centroids
				continue
			}
			p, err := decodeMember(v, s.settings.Dim)
			if err != nil {
				return nil, xs, err
			}
			p.row = len(points)
			xs.Values = append(xs.Values, p.x...)
			p.x = xs.At(p.row)
			points = append(points, *p)
		}
	}
	for i, norm := range xs.Norms() {
		points[i].norm = norm
	}
	return points, xs, nil
}

// firstMeans runs k-means and keeps the lease; nil when the lease is lost.
func (s *Stage) firstMeans(ctx context.Context, points []pair, xs vectors.Matrix, renew func(context.Context) (bool, error)) ([][]float32, error) {
	if len(points) == 0 {
		return nil, nil
	}
	renewed, lost := s.settings.Now(), false
	tick := func() (bool, error) {
		if now := s.settings.Now(); now.Sub(renewed) > leaseFor/4 {
			renewed = now
			ok, err := renew(ctx)
			lost = !ok
			return ok, err
		}
		return true, ctx.Err()
	}
	norms := make([]float32, len(points))
	for i := range points {
		norms[i] = points[i].norm
	}
	random := rand.New(rand.NewPCG(s.uint64N(1<<63), s.uint64N(1<<63))) //nolint:gosec // for sampling
	means, err := kmeans(xs, norms, s.config.K, random, tick)
	if lost {
		return nil, err
	}
	return means, err
}

// install puts the means into the store, with everything that was sampled up
// to now. The sample is frozen.
func (s *Stage) install(ctx context.Context, before *centroids, points []pair, xs vectors.Matrix, means [][]float32) (*centroids, error) {
	giveBack, err := s.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	set, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	s.set.Store(set)
	if set.incarnation != before.incarnation || !s.sampleFull(set) {
		return set, nil
	}
	if set.sample.tag != before.sample.tag {
		if points, xs, err = s.members(ctx, set); err != nil {
			return nil, err
		}
	}
	if len(points) == 0 { // taken away while we read: the next attempt sees why
		s.doubt()
		return set, nil
	}
	request, err := s.first(set, points, xs, means)
	if err != nil {
		return nil, err
	}
	stages.Reach(ctx, stages.BeforeInit)
	reply, err := s.settings.Store.Init(ctx, request)
	s.doubt()
	if err != nil {
		return nil, fmt.Errorf("cluster: install the first centroids: %w", err)
	}
	if reply.Status != FoldOK {
		return set, nil
	}
	stages.Reach(ctx, stages.AfterInit)
	s.settings.Log.InfoContext(ctx, "first centroids installed", "stage", "cluster",
		"clusters", len(request.Rows), "pairs", set.sample.count)
	if set, err = s.read(ctx); err != nil {
		return nil, err
	}
	s.set.Store(set)
	return set, nil
}

// first makes rows that hold everything the sample's totals count, also what
// the reservoir has dropped: each member stands for as many pairs as it takes.
func (s *Stage) first(set *centroids, points []pair, xs vectors.Matrix, means [][]float32) (InitRequest, error) {
	clock := set.pairs
	added := make([]sums, len(means))
	for i, m := range nearestAll(xs, means) {
		added[m.At].add(&points[i], distance(points[i].norm, m.Score), clock)
	}

	request := InitRequest{Incarnation: set.incarnation, Expect: set.sample.tag[:], Rows: make(map[string][]byte)}
	left := totals{count: set.sample.count, checksum: set.sample.checksum}
	each := float64(set.sample.count) / float64(len(points))
	var rows []*row
	for j := range added {
		if added[j].count == 0 {
			continue
		}
		added[j].scale(each)
		added[j].count = uint64(each * float64(added[j].count))
		r := (&row{touched: clock}).fold(&added[j], clock, s.config.halfLife())
		left.count -= r.count
		left.checksum -= r.checksum
		rows = append(rows, r)
	}
	rows[0].count += left.count
	rows[0].checksum += left.checksum
	for _, r := range rows {
		id, err := s.newName()
		if err != nil {
			return InitRequest{}, err
		}
		if r.tag, err = s.newTag(); err != nil {
			return InitRequest{}, err
		}
		request.Rows[id] = r.encode()
	}
	var sample, ledger totals
	for _, t := range []*totals{&sample, &ledger} {
		var err error
		if t.tag, err = s.newTag(); err != nil {
			return InitRequest{}, err
		}
	}
	request.Sample, request.Ledger = sample.encode(), ledger.encode()
	return request, nil
}
