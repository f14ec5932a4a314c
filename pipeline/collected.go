package pipeline

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// collected adds a record for each pair of a result that is collected. Its key
// is the post's id, so a takedown of the post comes behind it.
func (e *emitter) collected(out *outbox, row int, r *schemas.Result, images picked) error {
	if len(images) == 0 {
		return nil
	}
	b := out.batch
	first, end := out.results.PairsOf(row)
	for at := first; at < end; at++ {
		image, ok := images[at]
		if !ok {
			continue
		}
		selected, _ := schemas.SelectedAt(b, at)
		p := r.Pairs[at-first]
		image.URL = p.URL
		value, err := schemas.Encode(schemas.Collected{
			Schema: schemas.CollectedSchema, ResultID: r.ResultID, Pair: p.Index,
			PostID: r.PostID, Source: r.Source, AuthorID: r.AuthorID, CreatedAt: r.CreatedAt, Langs: r.Langs, Sensitive: r.Sensitive,
			Text: r.Text, Alt: p.Alt, URI: r.URI, License: schemas.LicenseAt(b, row), OptOuts: schemas.OptOutsAt(b, row),
			Image: image, Relation: p.Relation, Scores: [schemas.Relations]float64{
				p.Scores.Neither, p.Scores.ImageAdds, p.Scores.TextRepresented, p.Scores.Both,
			},
			TextIsRepresented: *p.TextIsRepresented, ImageAdds: *p.ImageAdds, Similarity: *p.Similarity,
			Cluster: p.Cluster, Novel: p.Novel, Selected: selected,
			Model: r.Model, ConfigDigest: r.ConfigDigest, Input: r.Input, CollectedAt: e.now().UTC(),
		})
		if err != nil {
			return fmt.Errorf("pipeline: encode pair %d of %s offset %d for the data set: %w", p.Index, b.Partition, r.Input.Offset, err)
		}
		out.add(kafka.Record{Topic: e.topics.Collected, Partition: kafka.ByKey, Key: []byte(r.PostID), Value: value})
	}
	return nil
}

// takedown tells the data set to forget a post that was deleted.
func (e *emitter) takedown(b *schemas.Batch, row int) (kafka.Record, error) {
	posts := b.Posts()
	id := strings.Clone(schemas.Col[*array.String](posts, schemas.PostID).Value(row))
	value, err := schemas.Encode(schemas.Takedown{
		Schema: schemas.TakedownSchema, PostID: id,
		RequestedAt: schemas.Col[*array.Timestamp](posts, schemas.RecordTime).Value(row).ToTime(arrow.Millisecond),
	})
	if err != nil {
		return kafka.Record{}, fmt.Errorf("pipeline: encode a takedown of %s: %w", b.Partition, err)
	}
	return kafka.Record{Topic: e.topics.Collected, Partition: kafka.ByKey, Key: []byte(id), Value: value}, nil
}
