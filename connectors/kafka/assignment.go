package kafka

import (
	"context"
	"fmt"
	"time"

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
	// unsettled says that a transaction held the position for long.
	unsettled bool
}

const (
	// unsettledWait is how long Committed waits for somebody's transaction:
	// far longer than ending one takes.
	unsettledWait = 5 * time.Second
)

var unsettledPace = stages.Pace{First: 2 * time.Millisecond, Most: 100 * time.Millisecond, Silent: 2 * time.Second}

// Committed returns the group's committed offset, −1 for none, and the string
// that was committed with it. It waits for transactions that are about to commit another
// one. With exactly_once call it after Sink, never before: a former owner
// who is not fenced may move the offset a moment later.
func (a *Assignment) Committed(ctx context.Context) (offset int64, metadata string, err error) {
	doing := "reading the committed offset of " + a.Partition.String()
	var answer offsetAnswer
	wait, cancel := context.WithTimeout(ctx, unsettledWait)
	defer cancel()
	err = unsettledPace.Retry(wait, a.c.log, doing, func() error {
		x := &offsetExchange{exchange: a.c.smallExchange(), group: a.c.cfg.Group, partition: a.Partition}
		if _, err := a.c.roundTrip(ctx, 0, x); err != nil {
			return err
		}
		switch answer = x.answer; answer.code {
		case 0:
			return nil
		case kafkago.UnstableOffsetCommit:
			return &stages.Transient{Err: answer.code}
		default:
			return answer.code
		}
	})
	a.unsettled = answer.code == kafkago.UnstableOffsetCommit
	if err != nil {
		return 0, "", classify(ctx, doing, err)
	}
	return answer.offset, answer.metadata, nil
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
