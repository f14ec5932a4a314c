package redrive

import (
	"context"
	"errors"
	"log/slog"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// page is how much of the dead-letter topic is read at a time.
var page = kafka.Limits{MaxRows: 512, MaxBytes: 8 << 20}

// scan reads the committed records of [from, end) of one partition in order.
// It waits for transactions that are still open before end.
func scan(ctx context.Context, c *kafka.Client, log *slog.Logger, p schemas.Partition, from, end int64, each func(record) error) error {
	f := c.NewFetcher(p, memory.NewGoAllocator(), page)
	defer f.Close()
	for from < end {
		var b *schemas.Batch
		err := stages.Usual.Retry(ctx, log, "reading "+p.String(), func() (err error) {
			b, err = f.Next(ctx, from, end)
			return err
		})
		var gone *kafka.OffsetRangeError
		switch {
		case errors.As(err, &gone) && gone.LogStart > from:
			from = gone.LogStart // retention was faster than we
		case err != nil:
			return err
		case b != nil:
			from = b.Offsets.End
			if err := rows(b, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func rows(b *schemas.Batch, each func(record) error) error {
	defer b.Release()
	posts := b.Posts()
	offsets, times := schemas.Col[*array.Int64](posts, schemas.RecordOffset), schemas.Col[*array.Timestamp](posts, schemas.RecordTime)
	keys, values := schemas.Col[*array.Binary](posts, schemas.RecordKey), schemas.Col[*array.Binary](posts, schemas.RecordValue)
	for row := range int(posts.NumRows()) {
		err := each(record{
			partition: b.Partition, offset: offsets.Value(row), at: times.Value(row).ToTime(arrow.Millisecond),
			key: schemas.BytesAt(keys, row), value: schemas.BytesAt(values, row), headers: kafka.HeadersAt(b, row),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
