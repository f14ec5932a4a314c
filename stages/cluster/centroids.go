package cluster

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/itrstream/itrstream/stages/cluster/internal/vectors"
)

// centroids are all centroids as one process last saw them. They are shared
// by its partitions and never changed: folds replace them as a whole.
type centroids struct {
	incarnation    string
	version, pairs int64
	// ledger is nil before the first centroids, sample before the first pair.
	ledger, sample *totals
	// loaded is when everything was last known to be as the store has it. It
	// is read in one step; whole says that every fold since was our own.
	loaded time.Time
	whole  bool
	// stale asks for a read before the next use.
	stale bool

	// rows are in the order of their ids; at says where which is.
	ids    []string
	at     map[string]int
	rows   []*row
	panels *vectors.Panels
}

func decodeState(st State, dim int, now time.Time) (*centroids, error) {
	c := &centroids{incarnation: st.Incarnation, version: st.Version, pairs: st.Pairs, loaded: now, whole: true}
	var err error
	if st.Ledger != nil {
		if c.ledger, err = decodeTotals(st.Ledger); err != nil {
			return nil, err
		}
	}
	if st.Sample != nil {
		if c.sample, err = decodeTotals(st.Sample); err != nil {
			return nil, err
		}
	}
	rows := make(map[string]*row, len(st.Rows))
	for id, b := range st.Rows {
		if rows[id], err = decodeRow(b, dim); err != nil {
			return nil, fmt.Errorf("%w (cluster %s)", err, id)
		}
	}
	c.index(rows)
	if (c.ledger != nil) != (len(c.rows) > 0) {
		return nil, fmt.Errorf("cluster: the store has a ledger: %t, but %d centroids: a key is gone; set maxmemory-policy noeviction, and restore the keys or choose a new namespace",
			c.ledger != nil, len(c.rows))
	}
	return c, nil
}

func (c *centroids) index(rows map[string]*row) {
	c.ids = slices.Sorted(maps.Keys(rows))
	c.at = make(map[string]int, len(rows))
	c.rows = make([]*row, len(rows))
	means := make([][]float32, len(rows))
	dim := 0
	for i, id := range c.ids {
		c.at[id], c.rows[i], means[i] = i, rows[id], rows[id].mean
		dim = len(means[i])
	}
	c.panels = vectors.NewPanels(dim, means)
}

// row returns a centroid, and nil where it is gone.
func (c *centroids) row(id string) *row {
	if i, ok := c.at[id]; ok {
		return c.rows[i]
	}
	return nil
}

// sampling says that there are no centroids yet.
func (c *centroids) sampling() bool { return c.ledger == nil }

// usable says that c may be used for a claim of this incarnation.
func (c *centroids) usable(incarnation string) bool {
	return c != nil && !c.stale && c.incarnation == incarnation
}

// with returns a copy in which some rows differ; a nil row is gone.
func (c *centroids) with(changed map[string]*row) *centroids {
	next := *c
	next.rows = slices.Clone(c.rows)
	moved := make(map[int][]float32, len(changed))
	for id, r := range changed {
		i, ok := c.at[id]
		if !ok || r == nil {
			return c.replanted(changed)
		}
		next.rows[i], moved[i] = r, r.mean
	}
	next.panels = c.panels.With(moved)
	return &next
}

// replanted does so where rows come or go.
func (c *centroids) replanted(changed map[string]*row) *centroids {
	next := *c
	rows := make(map[string]*row, len(c.rows))
	for i, id := range c.ids {
		rows[id] = c.rows[i]
	}
	maps.Copy(rows, changed)
	maps.DeleteFunc(rows, func(_ string, r *row) bool { return r == nil })
	next.index(rows)
	return &next
}

// corrected returns a copy that agrees with the values that the store holds.
// When more than rows differ, everything has to be read again.
func (c *centroids) corrected(now []Current, dim int) (*centroids, error) {
	changed := make(map[string]*row, len(now))
	stale := false
	for _, cur := range now {
		switch {
		case cur.Kind != KindCentroid:
			stale = true
		case cur.Value == nil:
			// Whoever retired it has put another in its place.
			changed[cur.ID], stale = nil, true
		default:
			r, err := decodeRow(cur.Value, dim)
			if err != nil {
				return nil, fmt.Errorf("%w (cluster %s)", err, cur.ID)
			}
			changed[cur.ID] = r
		}
	}
	next := c.with(changed)
	next.stale = stale
	return next, nil
}

// sharesLedger says whether the set of centroids is still the one that the
// store has: the ledger's tag changes whenever one is retired or born.
func (c *centroids) sharesLedger(tag []byte) bool {
	if c.ledger == nil {
		return len(tag) == 0
	}
	return bytes.Equal(c.ledger.tag[:], tag)
}
