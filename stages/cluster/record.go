package cluster

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/itrstream/itrstream/schemas"
)

// record is what a fold concluded, kept in the store with the cursor until
// the partition's next fold. After a crash between fold and commit it is what
// gets emitted. Stored, it names no post: an idle partition would keep the
// names of deleted ones for as long as it is idle. Claim.events adds them
// again.
type record struct {
	span schemas.OffsetRange
	// centroids is the version of the centroids that assigned.
	centroids int64
	alarm     window
	entries   []entry
	events    []schemas.ClusterEvent
	// stored says that the record comes from the store.
	stored bool
}

// entry is one pair's assignment. No cluster: the pair went into the sample.
type entry struct {
	key      pairKey
	cluster  string
	distance float32
	novel    bool
}

// pairKey names a pair within its partition.
type pairKey struct {
	offset int64
	image  int32
}

const (
	recordFormat = 1
	maxClusterID = 64
	maxEvents    = 64 << 20
)

func (r *record) encode() ([]byte, error) {
	b := []byte{recordFormat}
	b = appendInt64(b, r.span.First)
	b = appendInt64(b, r.span.End)
	b = appendInt64(b, r.centroids)
	b = r.alarm.append(b)

	at := make(map[string]uint64)
	var ids []string
	for _, e := range r.entries {
		if _, ok := at[e.cluster]; !ok && e.cluster != "" {
			ids = append(ids, e.cluster)
			at[e.cluster] = uint64(len(ids))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = appendString(b, id)
	}
	b = binary.AppendUvarint(b, uint64(len(r.entries)))
	for _, e := range r.entries {
		b = binary.AppendUvarint(b, uint64(e.key.offset-r.span.First)) //nolint:gosec // within the span
		b = binary.AppendUvarint(b, uint64(uint32(e.key.image)))       //nolint:gosec // an index
		b = binary.AppendUvarint(b, at[e.cluster])
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(e.distance))
		if e.novel {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	var events []byte
	if len(r.events) > 0 {
		nameless := slices.Clone(r.events)
		for i := range nameless {
			nameless[i].Representatives = nil
		}
		var err error
		if events, err = json.Marshal(nameless); err != nil {
			return nil, fmt.Errorf("cluster: record events: %w", err)
		}
	}
	return appendString(b, string(events)), nil
}

// decodeRecord reads what a fold left, and completes its events with the
// version, which only the store knew.
func decodeRecord(in Recorded) (*record, error) {
	if in.Record == nil {
		return nil, nil //nolint:nilnil // a partition without a fold has no record
	}
	d := decoder{b: in.Record}
	r := &record{stored: true}
	d.format(recordFormat)
	r.span = schemas.OffsetRange{First: d.int64(), End: d.int64()}
	r.centroids = d.int64()
	r.alarm = decodeWindow(&d)

	ids := []string{""}
	for range d.uvarint() {
		if d.err != nil {
			break
		}
		ids = append(ids, d.string(maxClusterID))
	}
	for range d.uvarint() {
		if d.err != nil {
			break
		}
		e := entry{key: pairKey{
			offset: r.span.First + int64(d.uvarint()), //nolint:gosec // checked below
			image:  int32(d.uvarint()),                //nolint:gosec // written from an int32
		}}
		id := d.uvarint()
		if id >= uint64(len(ids)) || e.key.offset < r.span.First || e.key.offset >= r.span.End {
			d.fail()
			break
		}
		e.cluster, e.distance, e.novel = ids[id], d.float32(), d.bool()
		r.entries = append(r.entries, e)
	}
	events := d.string(maxEvents)
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("cluster: read the record of the last fold: %w", err)
	}
	if events != "" {
		if err := json.Unmarshal([]byte(events), &r.events); err != nil {
			return nil, fmt.Errorf("cluster: read the events of the last fold: %w", err)
		}
	}
	r.stamp(in.Version)
	return r, nil
}

func (r *record) stamp(version int64) {
	for i := range r.events {
		r.events[i].Version = version
	}
}

func (r *record) byPair() map[pairKey]entry {
	m := make(map[pairKey]entry, len(r.entries))
	for _, e := range r.entries {
		m[e.key] = e
	}
	return m
}
