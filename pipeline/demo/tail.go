package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// outcome is what came of one post.
type outcome struct {
	id         string // the same for a repeated delivery
	at         time.Time
	result     *schemas.Result // nil for a tombstone or a dead letter
	deadLetter bool
	post       string // tombstone: its post id
	reason     string // dead letter
	detail     string
}

// tail reads one output partition from its start, as any consumer would.
type tail struct {
	client    *kafka.Client
	topic     string
	partition int32
	settings  pipeline.Settings
}

func (t *tail) run(ctx context.Context, deadLetters bool, out chan<- outcome) error {
	p := schemas.Partition{Topic: t.topic, ID: t.partition}
	fetcher := t.client.NewFetcher(p, t.settings.Alloc, kafka.Limits{MaxRows: 256, MaxBytes: 32 << 20})
	defer fetcher.Close()
	for next := int64(0); ; {
		b, err := fetcher.Next(ctx, next, -1)
		switch {
		case ctx.Err() != nil:
			if b != nil {
				b.Release()
			}
			return nil
		case stages.IsTransient(err), err == nil && b == nil:
			continue
		case err != nil:
			return fmt.Errorf("reading topic %s: %w", t.topic, err)
		}
		next = b.Offsets.End
		outcomes, err := read(b, deadLetters, t.settings.Now())
		b.Release()
		if err != nil {
			return err
		}
		for _, o := range outcomes {
			select {
			case out <- o:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func read(b *schemas.Batch, deadLetters bool, at time.Time) ([]outcome, error) {
	keys, values := schemas.Col[*array.Binary](b.Posts(), schemas.RecordKey), schemas.Col[*array.Binary](b.Posts(), schemas.RecordValue)
	var outcomes []outcome
	for row := range int(b.Posts().NumRows()) {
		h := map[string]string{}
		for _, header := range kafka.HeadersAt(b, row) {
			h[strings.Clone(header.Key)] = string(header.Value)
		}
		o := outcome{at: at, id: h[schemas.HeaderResultID]}
		switch {
		case deadLetters:
			o.deadLetter = true
			o.id = h[schemas.HeaderSourcePartition] + "/" + h[schemas.HeaderSourceOffset]
			o.reason, o.detail = h[schemas.HeaderReason], h[schemas.HeaderDetail]
		case values.IsNull(row):
			o.post = string(keys.Value(row))
		default:
			o.result = &schemas.Result{}
			if err := json.Unmarshal(values.Value(row), o.result); err != nil {
				return nil, fmt.Errorf("reading a result: %w", err)
			}
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}
