package kafka

import (
	"context"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// Assignment is one partition for as long as one generation of the group
// lasts.
type Assignment struct {
	Partition  schemas.Partition
	Generation int32
	Member     string

	c *Client
	// later says that the partition did not exist when Consume began.
	later bool
}

// Committed returns the group's committed offset, −1 for none, and the string
// that was committed with it.
func (a *Assignment) Committed(ctx context.Context) (offset int64, metadata string, err error) {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := "reading the committed offset of " + a.Partition.String()
	res, err := a.c.admin.OffsetFetch(call, &kafkago.OffsetFetchRequest{
		GroupID: a.c.cfg.Group,
		Topics:  map[string][]int{a.Partition.Topic: {int(a.Partition.ID)}},
	})
	if err != nil {
		return 0, "", classify(ctx, doing, err)
	}
	if res.Error != nil {
		return 0, "", classify(ctx, doing, res.Error)
	}
	for _, p := range res.Topics[a.Partition.Topic] {
		if p.Partition != int(a.Partition.ID) {
			continue
		}
		if p.Error != nil {
			return 0, "", classify(ctx, doing, p.Error)
		}
		return max(p.CommittedOffset, -1), p.Metadata, nil
	}
	return 0, "", &stages.Transient{Err: fmt.Errorf("kafka: %s: the broker left it out", doing)}
}

// Start returns where to begin when nothing is committed: where Config.Start
// says, or at the log's start for a partition that was added while we ran,
// for its records all came after us. Commit it before anything is read:
// "latest" is somewhere else a moment later.
func (a *Assignment) Start(ctx context.Context) (int64, error) {
	first, end, err := a.c.Bounds(ctx, a.Partition)
	if err != nil {
		return 0, err
	}
	if a.c.cfg.Start == StartLatest && !a.later {
		return end, nil
	}
	return first, nil
}

// Alive asks the group's coordinator whether this generation still stands:
// nil, ErrGenerationEnded, or a *stages.Transient when it cannot be asked.
func (a *Assignment) Alive(ctx context.Context) error {
	return a.c.heartbeat(ctx, a.Generation, a.Member)
}

// Commit moves the group's position to next, with a string of at most 4,096
// bytes (the broker's offset.metadata.max.bytes), as long as the generation
// stands; ErrGenerationEnded when it does not.
func (a *Assignment) Commit(ctx context.Context, next int64, metadata string) error {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := fmt.Sprintf("committing offset %d of %s", next, a.Partition)
	res, err := a.c.admin.OffsetCommit(call, &kafkago.OffsetCommitRequest{
		GroupID:      a.c.cfg.Group,
		GenerationID: int(a.Generation),
		MemberID:     a.Member,
		Topics: map[string][]kafkago.OffsetCommit{
			a.Partition.Topic: {{Partition: int(a.Partition.ID), Offset: next, Metadata: metadata}},
		},
	})
	if err != nil {
		return classify(ctx, doing, err)
	}
	for _, p := range res.Topics[a.Partition.Topic] {
		if p.Partition == int(a.Partition.ID) {
			return classify(ctx, doing, p.Error)
		}
	}
	return &stages.Transient{Err: fmt.Errorf("kafka: %s: the broker left it out", doing)}
}

// Sink takes everything that comes of a batch.
type Sink interface {
	// Emit sends a batch's records and then moves its partition's position to
	// next. All of it is durable when Emit returns nil; after an error the
	// outcome is unknown until the position is read again.
	Emit(ctx context.Context, records []Record, next int64, metadata string) error
}

// Sink returns the sink that Config.Delivery asks for.
func (a *Assignment) Sink() Sink { return atLeastOnce{a} }

// atLeastOnce commits what is already written: a crash in between repeats the
// batch, with the same result ids.
type atLeastOnce struct{ a *Assignment }

func (s atLeastOnce) Emit(ctx context.Context, records []Record, next int64, metadata string) error {
	if err := s.a.c.Produce(ctx, records); err != nil {
		return err
	}
	doing := "committing " + s.a.Partition.String()
	return s.a.c.retry(ctx, doing, func() error { return s.a.Commit(ctx, next, metadata) })
}
