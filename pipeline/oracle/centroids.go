package oracle

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/itrstream/itrstream/schemas"
)

// Centroids are what Redis counts: undecayed numbers of pairs, and sums of
// their checksums.
type Centroids struct {
	Live            map[string]uint64 // count by cluster
	Retired         uint64
	Sampled         uint64 // still in the sample
	Count, Checksum uint64 // over all of them
}

// Where a row and the totals hold their counts: behind a tag, a format byte
// and, in a row, the mean and decayed sums.
const (
	tagBytes    = 16
	decayedSums = 3 + schemas.Relations
)

// ReadCentroids reads the keys of one namespace and bundle.
func ReadCentroids(ctx context.Context, addr, namespace, modelDigest string) (Centroids, error) {
	rdb := goredis.NewClient(&goredis.Options{Addr: addr})
	defer rdb.Close() //nolint:errcheck // only read
	c := Centroids{Live: map[string]uint64{}}
	prefix := fmt.Sprintf("{%s:%s}:", namespace, modelDigest)
	rows, err := rdb.HGetAll(ctx, prefix+"rows").Result()
	if err != nil {
		return c, err
	}
	for id, v := range rows {
		n, at := uint64(0), uint64(tagBytes+1)
		if uint64(len(v)) >= at+4 {
			n = uint64(binary.LittleEndian.Uint32([]byte(v[at:])))
		}
		count, checksum, err := sums(v, at+4+4*n+8*decayedSums+8)
		if err != nil {
			return c, fmt.Errorf("cluster %s: %w", id, err)
		}
		c.Live[id] = count
		c.Count += count
		c.Checksum += checksum
	}
	meta, err := rdb.HMGet(ctx, prefix+"meta", "ledger", "sample").Result()
	if err != nil {
		return c, err
	}
	for i, held := range []*uint64{&c.Retired, &c.Sampled} {
		v, ok := meta[i].(string)
		if !ok {
			continue
		}
		count, checksum, err := sums(v, tagBytes+1)
		if err != nil {
			return c, fmt.Errorf("totals: %w", err)
		}
		*held = count
		c.Count += count
		c.Checksum += checksum
	}
	return c, nil
}

func sums(v string, at uint64) (count, checksum uint64, err error) {
	if uint64(len(v)) < at+16 {
		return 0, 0, fmt.Errorf("%d bytes: no count at %d", len(v), at)
	}
	b := []byte(v[at:])
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), nil
}

// Folded is what the centroids must hold: how many pairs, and the sum of
// their checksums.
func (o *Oracle) Folded() (count, checksum uint64) {
	for at, in := range o.inputs {
		if in.Outcome != schemas.OutcomeResult {
			continue
		}
		for _, i := range in.Images {
			count++
			checksum += schemas.PairChecksum(schemas.Partition{Topic: o.topics.Posts, ID: at.partition}, at.offset, int32(i)) //nolint:gosec // an index
		}
	}
	return count, checksum
}

// centroids compares what Redis counts with what was sent, and, where Redis
// never went back, with the clusters that were emitted.
func (j *judgement) centroids(c *Centroids) {
	count, checksum := j.Folded()
	switch {
	case c.Count > count:
		j.v.DoubleFolded += c.Count - count
		j.v.say(1, "the centroids count %d pairs, %d were sent", c.Count, count)
	case c.Count < count:
		j.v.Unfolded += count - c.Count
		j.v.say(1, "the centroids count %d pairs, %d were sent", c.Count, count)
	case c.Checksum != checksum:
		j.v.DoubleFolded++
		j.v.Unfolded++
		j.v.say(1, "the centroids count as many pairs as were sent, but not the same ones")
	}
	if j.rules.Rollback || j.rules.Repeats || j.rules.Changes {
		return
	}
	// Every emitted pair is counted where it was emitted to, and what was
	// bootstrapping is counted somewhere.
	left := j.sampled - min(c.Sampled, j.sampled)
	retired := c.Retired
	for _, id := range slices.Sorted(maps.Keys(j.emitted)) {
		n := j.emitted[id]
		held, live := c.Live[id]
		switch born := slices.Contains(j.seen.events[id], "born"); {
		case !live && !slices.Contains(j.seen.events[id], "retired"):
			j.v.wrong("%d pairs were emitted with cluster %s, which is neither live nor retired", n, id)
		case !live:
			retired -= min(n, retired)
		case held < n || born && held != n:
			j.v.wrong("%d pairs were emitted with cluster %s, which counts %d", n, id, held)
		default:
			left -= min(held-n, left)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Live)) {
		if j.emitted[id] == 0 {
			left -= min(c.Live[id], left)
		}
	}
	if left > retired {
		j.v.wrong("%d pairs were emitted as bootstrapping and are counted in no cluster (%d in retired ones)", left, retired)
	}
	for id, types := range j.seen.events {
		slices.Sort(types)
		if len(slices.Compact(slices.Clone(types))) != len(types) {
			j.v.wrong("cluster %s has lineage events %v", id, types)
		}
	}
}
