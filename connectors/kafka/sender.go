package kafka

import (
	"context"
	"fmt"

	"github.com/itrstream/itrstream/connectors/kafka/txn"
)

// Sender sends records without a position: what a Send holds becomes visible
// to committed readers together, or never. It is for one goroutine.
type Sender struct {
	c  *Client
	id string
	p  *txn.Producer
}

// OpenSender takes a transactional id over: whoever sends under it can send no
// more, and what he left pending is settled when it returns.
func (c *Client) OpenSender(ctx context.Context, id string) (*Sender, error) {
	p, err := c.openProducer(ctx, id)
	if err != nil {
		return nil, classify(ctx, "taking over transactional id "+id, err)
	}
	return &Sender{c: c, id: id, p: p}, nil
}

// Send sends records in one transaction. After an error nobody knows whether
// they were sent until another sender was opened and the topics are read; this one is of
// no use any more. ErrFenced says that another one was opened; a
// *RecordTooLargeError, that a topic will never take one of them.
func (s *Sender) Send(ctx context.Context, records []Record) error {
	queues, err := s.c.route(ctx, records)
	if err != nil {
		return err
	}
	if err = s.p.Begin(ctx, targets(queues)); err != nil {
		err = classify(ctx, fmt.Sprintf("beginning a transaction of %s", s.id), err)
	} else {
		err = s.c.drainAll(ctx, queues, s.p)
	}
	if err != nil {
		s.c.abort(ctx, s.p)
		return err
	}
	return classify(ctx, fmt.Sprintf("committing a transaction of %s", s.id), s.p.End(ctx, true))
}
