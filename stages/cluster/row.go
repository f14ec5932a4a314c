package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/itrstream/itrstream/schemas"
)

// row is one centroid with everything its workers must agree on. Values are
// never changed once shared; fold returns a new one.
type row struct {
	tag  [TagSize]byte
	mean []float32
	// weight, s2, s4 and labels are decayed sums, as of the pair clock
	// touched: of 1, d² and d⁴ over the folded pairs, and of 1 per relation.
	weight, s2, s4 float64
	labels         [schemas.Relations]float64
	touched        int64
	// count and checksum never decay.
	count, checksum uint64
	// reported is when the state was last reported, in Unix milliseconds.
	reported int64
	nearest  []representative
}

// representative is a post near the centroid.
type representative struct {
	post     string
	distance float32 // squared, when folded
	at       int64   // pair clock
}

const (
	maxRepresentatives = 3
	// maxPostID keeps a foreign string from swelling a row.
	maxPostID = 256

	rowFormat    = 1
	totalsFormat = 1
	// memberFormat 1 held the post's id, too.
	memberFormat      = 2
	namedMemberFormat = 1
)

var errFormat = errors.New("unknown format, or cut off")

func (r *row) encode() []byte {
	size := TagSize + 1 + 4 + 4*len(r.mean) + 8*(3+schemas.Relations+4) + 1
	for _, p := range r.nearest {
		size += binary.MaxVarintLen32 + len(p.post) + 12
	}
	b := make([]byte, 0, size)
	b = append(b, r.tag[:]...)
	b = append(b, rowFormat)
	b = appendFloats(binary.LittleEndian.AppendUint32(b, uint32(len(r.mean))), r.mean) //nolint:gosec // a width
	for _, f := range append([]float64{r.weight, r.s2, r.s4}, r.labels[:]...) {
		b = appendFloat64(b, f)
	}
	b = appendInt64(b, r.touched)
	b = binary.LittleEndian.AppendUint64(b, r.count)
	b = binary.LittleEndian.AppendUint64(b, r.checksum)
	b = appendInt64(b, r.reported)
	b = append(b, byte(len(r.nearest))) //nolint:gosec // at most 3
	for _, p := range r.nearest {
		b = appendString(b, p.post)
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p.distance))
		b = appendInt64(b, p.at)
	}
	return b
}

func decodeRow(b []byte, dim int) (*row, error) {
	d := decoder{b: b}
	r := &row{}
	d.tag(&r.tag)
	d.format(rowFormat)
	if n := d.uint32(); d.err == nil && int64(n) != int64(dim) {
		return nil, fmt.Errorf("cluster: a centroid of width %d where the model's embeddings have %d", n, dim)
	}
	r.mean = d.floats(dim)
	r.weight, r.s2, r.s4 = d.float64(), d.float64(), d.float64()
	for i := range r.labels {
		r.labels[i] = d.float64()
	}
	r.touched = d.int64()
	r.count, r.checksum = d.uint64(), d.uint64()
	r.reported = d.int64()
	n := int(d.byte())
	if n > maxRepresentatives {
		d.fail()
	}
	for range n {
		if d.err != nil {
			break
		}
		r.nearest = append(r.nearest, representative{post: d.string(maxPostID), distance: d.float32(), at: d.int64()})
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("cluster: read a centroid: %w", err)
	}
	return r, nil
}

// totals count pairs that no live row holds: those of retired centroids, or
// those in the sample. The sample's remain, empty, when it is over: their new
// tag keeps a late fold from starting another.
type totals struct {
	tag             [TagSize]byte
	count, checksum uint64
}

func (t *totals) encode() []byte {
	b := append(make([]byte, 0, TagSize+17), t.tag[:]...)
	b = append(b, totalsFormat)
	b = binary.LittleEndian.AppendUint64(b, t.count)
	return binary.LittleEndian.AppendUint64(b, t.checksum)
}

func decodeTotals(b []byte) (*totals, error) {
	d := decoder{b: b}
	t := &totals{}
	d.tag(&t.tag)
	d.format(totalsFormat)
	t.count, t.checksum = d.uint64(), d.uint64()
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("cluster: read totals: %w", err)
	}
	return t, nil
}

// memberBytes is the size of one encoded member.
func memberBytes(dim int) int { return 1 + 8 + 1 + 4*dim }

// encodeMember leaves the post's id out: nobody could find the members of a
// deleted post without reading the whole sample. The first centroids name the
// posts that come after the sample.
func encodeMember(p *pair) []byte {
	b := append(make([]byte, 0, memberBytes(len(p.x))), memberFormat)
	b = binary.LittleEndian.AppendUint64(b, p.checksum)
	b = append(b, byte(p.label+1)) //nolint:gosec // −1 to 3
	return appendFloats(b, p.x)
}

func decodeMember(b []byte, dim int) (*pair, error) {
	d := decoder{b: b}
	p := &pair{}
	format := d.byte()
	if format != memberFormat && format != namedMemberFormat {
		d.fail()
	}
	p.checksum = d.uint64()
	p.label = int(d.byte()) - 1
	if p.label >= schemas.Relations {
		d.fail()
	}
	if format == namedMemberFormat {
		d.string(maxPostID)
	}
	p.x = d.floats(dim)
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("cluster: read a member of the sample: %w", err)
	}
	return p, nil
}
