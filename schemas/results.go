package schemas

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// ResultMeta is what every result of a process has in common.
type ResultMeta struct {
	KafkaCluster string // the cluster id of the input's brokers, part of result_id
	Model        ModelRef
	ConfigDigest string
	// Authors lets results name their authors, by what decode left of their
	// ids; else they don't.
	Authors bool
	// Address rewrites the images' URLs, which may hold the author's id; nil
	// keeps them.
	Address func(string) string
}

// Results reads results out of a batch's columns. Columns of stages that have
// not run yet leave their fields unset, so decide can read the result that it
// decides on. The results borrow their strings: they are good until the batch
// is released.
type Results struct {
	b    *Batch
	meta ResultMeta

	offset                                         *array.Int64
	time, created                                  *array.Timestamp
	source, op, id, author, text, parent, uri, ver *array.String
	langs, decisions                               *array.List
	sensitive                                      *array.Boolean

	of    *array.Int32 // nil: the batch has no table of pairs
	pairs pairColumns
}

// ResultsOf finds the columns of a batch, for all its rows.
func ResultsOf(b *Batch, m ResultMeta) *Results {
	posts := b.Posts()
	str := func(name string) *array.String { return Col[*array.String](posts, name) }
	r := &Results{
		b: b, meta: m,
		offset: Col[*array.Int64](posts, RecordOffset), time: Col[*array.Timestamp](posts, RecordTime), created: Col[*array.Timestamp](posts, PostCreatedAt),
		source: str(PostSource), op: str(PostOp), id: str(PostID), author: str(PostAuthor),
		text: str(PostText), parent: str(PostParent), uri: str(PostURI), ver: str(PostVersion),
		langs: Col[*array.List](posts, PostLangs), decisions: colIf[*array.List](posts, PostDecisions),
		sensitive: Col[*array.Boolean](posts, PostSensitive),
	}
	if pairs := b.Pairs(); pairs != nil {
		r.of, r.pairs = Col[*array.Int32](pairs, PairPost), columnsOfPairs(pairs)
	}
	return r
}

// ResultAt reads one result, as Results.At does.
func ResultAt(b *Batch, row int, m ResultMeta, now time.Time) Result {
	return ResultsOf(b, m).At(row, now)
}

// PairsOf does what PairsOf does, without looking the column up.
func (r *Results) PairsOf(row int) (first, end int) {
	if r.of == nil {
		return 0, 0
	}
	return pairsOf(r.of, row)
}

// At returns the result of a row of Posts whose outcome is OutcomeResult.
func (r *Results) At(row int, now time.Time) Result {
	b, offset := r.b, r.offset.Value(row)
	out := Result{
		Schema:       ResultSchema,
		ResultID:     ResultID(r.meta.KafkaCluster, b.Partition, offset),
		Status:       StatusNoImage,
		Source:       stringIn(r.source, row),
		Op:           Op(stringIn(r.op, row)),
		PostID:       stringIn(r.id, row),
		Text:         stringIn(r.text, row),
		Langs:        listIn(r.langs, row),
		ParentID:     stringIn(r.parent, row),
		URI:          stringIn(r.uri, row),
		Version:      stringIn(r.ver, row),
		Pairs:        []Pair{},
		Decisions:    decisionsIn(r.decisions, row),
		Model:        r.meta.Model,
		ConfigDigest: r.meta.ConfigDigest,
		Input: Input{
			Topic:     b.Partition.Topic,
			Partition: b.Partition.ID,
			Offset:    offset,
			Time:      r.time.Value(row).ToTime(arrow.Millisecond),
		},
		Timings: MillisOf(b.Timings, now.Sub(b.Fetched)),
	}
	if r.meta.Authors {
		out.AuthorID = stringIn(r.author, row)
	}
	if r.created.IsValid(row) {
		out.CreatedAt = r.created.Value(row).ToTime(arrow.Microsecond)
	}
	if r.sensitive.IsValid(row) {
		v := r.sensitive.Value(row)
		out.Sensitive = &v
	}

	first, end := r.PairsOf(row)
	if first == end {
		return out
	}
	out.Status = StatusLabelled
	out.Pairs = make([]Pair, 0, end-first)
	for i := first; i < end; i++ {
		p := r.pairs.at(i)
		if r.meta.Address != nil {
			p.URL = r.meta.Address(p.URL)
		}
		if p.Confidence > out.Confidence {
			out.Relation, out.Confidence = p.Relation, p.Confidence
		}
		out.Pairs = append(out.Pairs, p)
	}
	return out
}
