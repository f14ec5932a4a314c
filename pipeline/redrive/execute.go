package redrive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

const (
	// chunkLetters and chunkBytes bound what one transaction sends back.
	chunkLetters = 200
	chunkBytes   = 4 << 20
)

// errAgain asks for another attempt.
var errAgain = errors.New("the redrive begins again where the dead-letter topic says")

// execution is one call of Execute, over all of its attempts.
type execution struct {
	*Redrive
	sender *kafka.Sender
	plan   *Plan // of the first attempt
	ends   map[int32]int64
	sent   int

	refused map[mark]bool // too large for their source
	alone   map[mark]bool // went with one that may have been
	unknown []letter      // nobody knows whether they were sent

	chunk []letter
	bytes int
}

// Execute sends the chosen dead letters back, each once, whatever was
// interrupted before. It returns what was planned and how many were sent,
// beside an error too; only of the last transaction nobody may know.
func (r *Redrive) Execute(ctx context.Context) (*Plan, int, error) {
	e := &execution{Redrive: r, refused: map[mark]bool{}, alone: map[mark]bool{}}
	for {
		err := e.attempt(ctx)
		if errors.Is(err, errAgain) {
			continue
		}
		if errors.Is(err, kafka.ErrFenced) {
			err = fmt.Errorf("another redrive of group %s has begun and goes on in the place of this one, or the broker gave a transaction up that took too long (kafka.transaction_timeout): %w", r.cfg.Kafka.Group, err)
		}
		return e.plan, e.sent, err
	}
}

// transactionalID has a part less than those of the workers.
func (r *Redrive) transactionalID() string { return r.cfg.Kafka.Group + "/redrive" }

// attempt takes the transactional id over, reads what is left to be sent, and
// sends it. After a transaction that nobody knows the end of, or one that was
// refused, it has to be made again: only the topic tells what was sent.
func (e *execution) attempt(ctx context.Context) error {
	err := stages.Usual.Retry(ctx, e.set.Log, "taking over transactional id "+e.transactionalID(), func() (err error) {
		e.sender, err = e.client.OpenSender(ctx, e.transactionalID())
		return err
	})
	if err != nil {
		return err
	}
	p, err := e.read(ctx, e.ends, e.refused)
	if err != nil {
		return err
	}
	if e.plan == nil {
		e.plan, e.ends = p.finish(), p.ends
		if e.set.Planned != nil {
			if err := e.set.Planned(e.plan); err != nil {
				return err
			}
		}
	}
	if len(e.unknown) > 0 && p.done[e.unknown[0].mark()] {
		e.sent += len(e.unknown)
	}
	e.unknown, e.chunk, e.bytes = nil, nil, 0
	left := p.finish()
	for _, id := range slices.Sorted(maps.Keys(left.send)) {
		if err := e.partition(ctx, schemas.Partition{Topic: e.topic, ID: id}, left.send[id]); err != nil {
			return err
		}
	}
	return e.flush(ctx)
}

// partition sends the letters at offsets, which ascend.
func (e *execution) partition(ctx context.Context, p schemas.Partition, offsets []int64) error {
	end := offsets[len(offsets)-1] + 1
	return scan(ctx, e.client, e.set.Log, p, offsets[0], end, func(r record) error {
		if _, found := slices.BinarySearch(offsets, r.offset); !found {
			return nil
		}
		l, ok := parse(r)
		if !ok {
			return fmt.Errorf("%s offset %d is no dead letter any more: the topic was recreated while it was read", p, r.offset)
		}
		return e.add(ctx, l)
	})
}

func (e *execution) add(ctx context.Context, l letter) error {
	alone := e.alone[l.mark()]
	if n := len(e.chunk); n > 0 && (alone || n >= chunkLetters || e.bytes+l.size() > chunkBytes) {
		if err := e.flush(ctx); err != nil {
			return err
		}
	}
	l.own()
	e.chunk = append(e.chunk, l)
	e.bytes += l.size()
	if alone {
		return e.flush(ctx)
	}
	return nil
}

// flush sends the chunk and its marks in one transaction.
func (e *execution) flush(ctx context.Context) error {
	if len(e.chunk) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var records []kafka.Record
	for _, l := range e.chunk {
		to := l.source
		if int(to.ID) >= e.sources[to.Topic] {
			to.ID = kafka.ByKey // the topic has fewer partitions than it had
		}
		records = append(records, l.back(to), l.sent())
	}
	err := e.sender.Send(ctx, records)
	var large *kafka.RecordTooLargeError
	switch {
	case err == nil:
		e.sent += len(e.chunk)
		e.chunk, e.bytes = e.chunk[:0], 0
		if e.set.Progress != nil {
			e.set.Progress(e.sent, e.plan.Count(Send))
		}
		return nil
	case errors.As(err, &large) && len(e.chunk) > 1:
		for _, l := range e.chunk {
			e.alone[l.mark()] = true
		}
		return errAgain
	case errors.As(err, &large):
		l := e.chunk[0]
		e.set.Log.WarnContext(ctx, "a dead letter's source does not take it any more: raise its max.message.bytes",
			"dead_letter", l.place(), "error", err)
		e.refused[l.mark()] = true
		return errAgain
	case stages.IsTransient(err) && ctx.Err() == nil:
		e.set.Log.WarnContext(ctx, "beginning again where the dead-letter topic says", "error", err)
		e.unknown = e.chunk
		return errAgain
	}
	return err
}
