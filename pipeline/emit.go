package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/decide"
)

// emitter turns a batch that went through all stages into the records that
// leave: for each input record a result, a tombstone or a dead letter, copies of
// results where a rule sends them, pairs for the data set, and the batch's
// cluster events.
type emitter struct {
	topics config.Topics
	meta   schemas.ResultMeta
	*privacy
	now func() time.Time
	// collects says that there is a data set, which must hear of deletes.
	collects bool
}

func (e *emitter) records(b *schemas.Batch, images picked, traces *journey) ([]kafka.Record, error) {
	out := newOutbox(b, e.meta)
	now := e.now()
	for row, outcome := range schemas.Outcomes(b) {
		var err error
		first := len(out.records)
		switch outcome {
		case schemas.OutcomeDeadLetter:
			// Its trace is among the input's own headers.
			out.add(e.deadLetter(b, row))
			continue
		case schemas.OutcomeTombstone:
			out.add(e.tombstone(out, row))
			if e.collects {
				var gone kafka.Record
				gone, err = e.takedown(b, row)
				out.add(gone)
			}
		case schemas.OutcomeResult:
			err = e.result(out, row, images, now)
		}
		if err != nil {
			return nil, err
		}
		traces.carry(row, out.records[first:])
	}
	for _, event := range b.Events {
		value, err := schemas.Encode(event)
		if err != nil {
			return nil, fmt.Errorf("pipeline: encode an event of cluster %s: %w", event.Cluster, err)
		}
		out.add(kafka.Record{
			Topic: e.topics.Clusters, Partition: kafka.ByKey, Key: []byte(event.Cluster), Value: value,
		})
	}
	return out.records, nil
}

func (e *emitter) result(out *outbox, row int, images picked, now time.Time) error {
	r := out.results.At(row, now)
	value, err := out.json(&r)
	if err != nil {
		return fmt.Errorf("pipeline: encode the result of %s offset %d: %w", out.batch.Partition, r.Input.Offset, err)
	}
	rec := kafka.Record{
		Topic: e.topics.Results, Partition: kafka.ByKey, Key: out.text(r.PostID), Value: value,
		Headers: e.identity(out, row, r.ResultID),
	}
	out.add(rec)
	for i, d := range r.Decisions {
		if d.Topic == "" || slices.ContainsFunc(r.Decisions[:i], func(sent schemas.Decision) bool { return sent.Topic == d.Topic }) {
			continue
		}
		copied := rec
		copied.Topic = e.topicOf(d.Topic)
		out.add(copied)
	}
	return e.collected(out, row, &r, images)
}

// topicOf maps the name that rules use to the topic's own.
func (e *emitter) topicOf(name string) string {
	if name == decide.TopicReview {
		return e.topics.Review
	}
	return e.topics.Moderation
}

func (e *emitter) tombstone(out *outbox, row int) kafka.Record {
	b := out.batch
	offset := schemas.Col[*array.Int64](b.Posts(), schemas.RecordOffset).Value(row)
	return kafka.Record{
		Topic: e.topics.Results, Partition: kafka.ByKey,
		Key:     out.text(schemas.Col[*array.String](b.Posts(), schemas.PostID).Value(row)),
		Headers: e.identity(out, row, schemas.ResultID(e.meta.KafkaCluster, b.Partition, offset)),
	}
}

// identity links an outcome to its input: results and tombstones are keyed by
// post id, so the input's own key travels as a header, unless it names the author.
func (e *emitter) identity(out *outbox, row int, resultID string) []kafka.Header {
	h := append(out.twoHeaders(), kafka.Header{Key: schemas.HeaderResultID, Value: out.text(resultID)})
	if key := schemas.BytesAt(out.keys, row); key != nil {
		var author string
		if out.authors.IsValid(row) {
			author = out.authors.Value(row)
		}
		if key = e.inputKey(author, key); key != nil {
			h = append(h, kafka.Header{Key: schemas.HeaderInputKey, Value: key})
		}
	}
	return h
}

// deadLetter is the input record as it came, key, value and headers, with
// headers that say what was wrong with it.
func (e *emitter) deadLetter(b *schemas.Batch, row int) kafka.Record {
	why, _ := b.Rejected(row)
	posts := b.Posts()
	rec := kafka.Record{
		Topic: e.topics.DeadLetter, Partition: kafka.ByKey,
		Key:   schemas.BytesAt(schemas.Col[*array.Binary](posts, schemas.RecordKey), row),
		Value: schemas.BytesAt(schemas.Col[*array.Binary](posts, schemas.RecordValue), row),
	}
	rec.Headers = append(kafka.HeadersAt(b, row),
		kafka.Header{Key: schemas.HeaderReason, Value: []byte(why.Reason)},
		kafka.Header{Key: schemas.HeaderDetail, Value: []byte(why.Detail)},
		kafka.Header{Key: schemas.HeaderStage, Value: []byte(why.Stage)},
		kafka.Header{Key: schemas.HeaderSourceTopic, Value: []byte(b.Partition.Topic)},
		kafka.Header{Key: schemas.HeaderSourcePartition, Value: strconv.AppendInt(nil, int64(b.Partition.ID), 10)},
		kafka.Header{Key: schemas.HeaderSourceOffset, Value: strconv.AppendInt(nil, schemas.Col[*array.Int64](posts, schemas.RecordOffset).Value(row), 10)},
	)
	return rec
}

// cutDeadLetters shortens dead letters until their topic takes them: the
// value, then the input's own headers, then the key. A record that compressed
// well on its way in may be larger on its way out than any limit that was
// checked; it must not stop its partition. Its original length travels in a
// header.
func (e *emitter) cutDeadLetters(records []kafka.Record, limit int) []kafka.Record {
	room := max(limit-deadLetterRoom, 0)
	out := slices.Clone(records)
	for i, r := range out {
		if r.Topic != e.topics.DeadLetter {
			continue
		}
		ours := len(r.Headers) - schemas.DeadLetterHeaders
		original := len(r.Key) + len(r.Value)
		for _, h := range r.Headers[:ours] {
			original += len(h.Key) + len(h.Value)
		}
		if original <= room {
			continue
		}
		left := room
		take := func(b []byte) []byte {
			n := min(len(b), left)
			left -= n
			return b[:n:n]
		}
		var kept []kafka.Header
		key := take(r.Key)
		for _, h := range r.Headers[:ours] {
			if len(h.Key)+len(h.Value) <= left {
				left -= len(h.Key) + len(h.Value)
				kept = append(kept, h)
			}
		}
		out[i].Key, out[i].Value = key, take(r.Value)
		out[i].Headers = append(append(kept, r.Headers[ours:]...), kafka.Header{
			Key: kafka.HeaderCut, Value: strconv.AppendInt(nil, int64(original), 10),
		})
	}
	return out
}
