package schemas

import (
	"encoding/hex"
	"iter"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Outcome is the one place where an input record ends (invariant 1).
type Outcome string

// Outcomes.
const (
	OutcomeResult     Outcome = "result"
	OutcomeTombstone  Outcome = "tombstone" // the post was deleted: a null value under its id
	OutcomeDeadLetter Outcome = "dead_letter"
)

// OutcomeAt says what becomes of a row of Posts. The batch must be decoded.
func OutcomeAt(b *Batch, row int) Outcome {
	return outcomeAt(b, Col[*array.String](b.Posts(), PostOp), row)
}

// Outcomes iterates over the rows of Posts and what becomes of them. The batch
// must be decoded.
func Outcomes(b *Batch) iter.Seq2[int, Outcome] {
	ops := Col[*array.String](b.Posts(), PostOp)
	return func(yield func(int, Outcome) bool) {
		for row := range ops.Len() {
			if !yield(row, outcomeAt(b, ops, row)) {
				return
			}
		}
	}
}

func outcomeAt(b *Batch, ops *array.String, row int) Outcome {
	if _, rejected := b.Rejected(row); rejected {
		return OutcomeDeadLetter
	}
	if Op(ops.Value(row)) == OpDelete {
		return OutcomeTombstone
	}
	return OutcomeResult
}

// PairsOf returns the rows [first, end) of Pairs that belong to a row of
// Posts; first == end when it has none. It relies on Pairs being in post
// order.
func PairsOf(b *Batch, row int) (first, end int) {
	if b.Pairs() == nil {
		return 0, 0
	}
	return pairsOf(Col[*array.Int32](b.Pairs(), PairPost), row)
}

func pairsOf(of *array.Int32, row int) (first, end int) {
	first = sort.Search(of.Len(), func(i int) bool { return int(of.Value(i)) >= row })
	for end = first; end < of.Len() && int(of.Value(end)) == row; end++ {
	}
	return first, end
}

// SelectedAt returns why a row of Pairs is chosen for the data set, if it is. It
// does not borrow: a metric keeps the reason.
func SelectedAt(b *Batch, row int) (Selected, bool) {
	column := colIf[*array.Struct](b.Pairs(), PairSelected)
	if column == nil || column.IsNull(row) {
		return Selected{}, false
	}
	return Selected{
		Reason:      strings.Clone(stringIn(column.Field(0).(*array.String), row)),
		Probability: column.Field(1).(*array.Float64).Value(row),
	}, true
}

// OptOutsAt returns the uses that the author of a row of Posts reserves,
// borrowed from the batch.
func OptOutsAt(b *Batch, row int) []string { return listAt(b.Posts(), PostOptOuts, row) }

// LicenseAt returns the licence of a row of Posts, borrowed, empty when it
// names none.
func LicenseAt(b *Batch, row int) string { return stringAt(b.Posts(), PostLicense, row) }

// SourceAt returns where a row of Posts comes from, borrowed, empty when it
// does not say.
func SourceAt(b *Batch, row int) string { return stringAt(b.Posts(), PostSource, row) }

// LangsAt returns the language tags of a row of Posts, borrowed.
func LangsAt(b *Batch, row int) []string { return listAt(b.Posts(), PostLangs, row) }

// MillisOf converts durations to milliseconds with microsecond precision.
func MillisOf(t Timings, total time.Duration) Millis {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Millis{
		Decode:  ms(t.Decode),
		Media:   ms(t.Media),
		Infer:   ms(t.Infer),
		Cluster: ms(t.Cluster),
		Total:   ms(total),
	}
}

// pairColumns are the columns of Pairs, nil where the stage that writes them
// has not run.
type pairColumns struct {
	index                      *array.Int32
	url, alt, failure, detail  *array.String
	digest                     *array.FixedSizeBinary
	scores                     *array.FixedSizeList
	textRepresented, imageAdds *array.Float32
	similarity, distance       *array.Float32
	cluster, clusterStatus     *array.String
	novelty                    *array.Boolean
	centroidVersion            *array.Int64
}

func columnsOfPairs(rec arrow.Record) pairColumns {
	return pairColumns{
		index:           Col[*array.Int32](rec, PairIndex),
		url:             Col[*array.String](rec, PairURL),
		alt:             Col[*array.String](rec, PairAlt),
		failure:         colIf[*array.String](rec, PairFailure),
		detail:          colIf[*array.String](rec, PairDetail),
		digest:          colIf[*array.FixedSizeBinary](rec, PairDigest),
		scores:          colIf[*array.FixedSizeList](rec, PairScores),
		textRepresented: colIf[*array.Float32](rec, PairTextRepresented),
		imageAdds:       colIf[*array.Float32](rec, PairImageAdds),
		similarity:      colIf[*array.Float32](rec, PairSimilarity),
		cluster:         colIf[*array.String](rec, PairCluster),
		clusterStatus:   colIf[*array.String](rec, PairClusterStatus),
		distance:        colIf[*array.Float32](rec, PairDistance),
		novelty:         colIf[*array.Boolean](rec, PairNovelty),
		centroidVersion: colIf[*array.Int64](rec, PairClusterVer),
	}
}

func (c pairColumns) at(i int) Pair {
	p := Pair{
		Index:             int(c.index.Value(i)),
		URL:               stringIn(c.url, i),
		Alt:               stringIn(c.alt, i),
		TextIsRepresented: doubleIn(c.textRepresented, i),
		ImageAdds:         doubleIn(c.imageAdds, i),
		Similarity:        doubleIn(c.similarity, i),
		ClusterStatus:     ClusterStatus(stringIn(c.clusterStatus, i)),
		Distance:          doubleIn(c.distance, i),
		Failure:           Reason(stringIn(c.failure, i)),
		Detail:            stringIn(c.detail, i),
	}
	if c.digest != nil && c.digest.IsValid(i) {
		p.Digest = hex.EncodeToString(c.digest.Value(i))
	}
	if c.scores != nil && c.scores.IsValid(i) {
		p.Scores, p.Relation, p.Confidence = scoresAt(c.scores, i)
	}
	if c.cluster != nil && c.cluster.IsValid(i) {
		id := c.cluster.Value(i)
		p.Cluster = &id
	}
	if c.novelty != nil && c.novelty.IsValid(i) {
		v := c.novelty.Value(i)
		p.Novel = &v
	}
	if c.centroidVersion != nil && c.centroidVersion.IsValid(i) {
		v := c.centroidVersion.Value(i)
		p.CentroidVersion = &v
	}
	return p
}

// scoresAt returns a pair's scores, the relation that scores highest and its
// score.
func scoresAt(list *array.FixedSizeList, i int) (*Scores, string, float64) {
	start, _ := list.ValueOffsets(i)
	values := list.ListValues().(*array.Float32)
	var s [Relations]float64
	for j := range s {
		s[j] = double(values.Value(int(start) + j))
	}
	best := BestRelation(list, i)
	return &Scores{Neither: s[Neither], ImageAdds: s[ImageAdds], TextRepresented: s[TextRepresented], Both: s[Both]},
		best.String(), s[best]
}

// BestRelation returns the relation that scores highest (the first of equals)
// in a row of the column PairScores, which must not be null there.
func BestRelation(scores *array.FixedSizeList, row int) Relation {
	start, _ := scores.ValueOffsets(row)
	values := scores.ListValues().(*array.Float32)
	best := Neither
	for r := range Relation(Relations) {
		if values.Value(int(start)+int(r)) > values.Value(int(start)+int(best)) {
			best = r
		}
	}
	return best
}

func listAt(posts arrow.Record, name string, row int) []string {
	return listIn(Col[*array.List](posts, name), row)
}

func listIn(list *array.List, row int) []string {
	if list.IsNull(row) {
		return nil
	}
	values := list.ListValues().(*array.String)
	start, end := list.ValueOffsets(row)
	out := make([]string, 0, end-start)
	for i := int(start); i < int(end); i++ {
		out = append(out, values.Value(i))
	}
	return out
}

func decisionsIn(list *array.List, row int) []Decision {
	if list == nil || list.IsNull(row) {
		return nil
	}
	start, end := list.ValueOffsets(row)
	if start == end {
		return nil
	}
	values := list.ListValues().(*array.Struct)
	rule, topic, fault := values.Field(0).(*array.String), values.Field(1).(*array.String), values.Field(2).(*array.String)
	var decisions []Decision
	for i := int(start); i < int(end); i++ {
		decisions = append(decisions, Decision{Rule: stringIn(rule, i), Topic: stringIn(topic, i), Error: stringIn(fault, i)})
	}
	return decisions
}

// BytesAt returns a row's bytes, borrowed, and nil only where there are none:
// Arrow gives nil for an empty value too when all of a column are empty, and
// for Kafka that is a tombstone.
func BytesAt(c *array.Binary, row int) []byte {
	if c.IsNull(row) {
		return nil
	}
	if v := c.Value(row); v != nil {
		return v
	}
	return []byte{}
}

// colIf returns a column, or nil when its stage has not run.
func colIf[A arrow.Array](rec arrow.Record, name string) A {
	if !Has(rec, name) {
		var none A
		return none
	}
	return Col[A](rec, name)
}

func stringAt(rec arrow.Record, name string, row int) string {
	return stringIn(Col[*array.String](rec, name), row)
}

// stringIn borrows: Arrow's strings point into buffers that Release frees.
func stringIn(c *array.String, row int) string {
	if c == nil || c.IsNull(row) {
		return ""
	}
	return c.Value(row)
}

func doubleIn(c *array.Float32, row int) *float64 {
	if c == nil || c.IsNull(row) {
		return nil
	}
	v := double(c.Value(row))
	return &v
}

// double widens to the shortest decimal that still names the same float32, so
// that 0.83 reads 0.83 on the wire and in a rule, not 0.8299999833106995.
func double(v float32) float64 {
	if v32 := float64(v); v32 == math.Trunc(v32) || math.IsNaN(v32) || math.IsInf(v32, 0) {
		return v32
	}
	var buf [32]byte
	d, err := strconv.ParseFloat(string(strconv.AppendFloat(buf[:0], float64(v), 'g', -1, 32)), 64)
	if err != nil {
		return float64(v)
	}
	return d
}
