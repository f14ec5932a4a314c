package kafka

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/itrstream/itrstream/connectors/kafka/txn"
	"github.com/itrstream/itrstream/schemas"
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
	p, err := txn.Open(ctx, txn.Settings{
		Send: func(ctx context.Context, req protocol.Message) (protocol.Message, error) {
			return c.roundTrip(ctx, 0, req)
		},
		ClientID: c.cfg.ClientID,
		Log:      c.log,
	}, id, c.cfg.TransactionTimeout)
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
	to := make([]schemas.Partition, len(queues))
	for i, q := range queues {
		to[i] = q.to
	}
	if err = s.p.Begin(ctx, to); err != nil {
		err = classify(ctx, fmt.Sprintf("beginning a transaction of %s", s.id), err)
	} else {
		err = s.c.drainAll(ctx, queues, s.p)
	}
	if err != nil {
		s.abort(ctx)
		return err
	}
	return classify(ctx, fmt.Sprintf("committing a transaction of %s", s.id), s.p.End(ctx, true))
}

// abort keeps readers from waiting for a transaction that has failed; ctx may
// have ended.
func (s *Sender) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	if err := s.p.End(ctx, false); err != nil {
		s.c.log.DebugContext(ctx, "kafka: a failed transaction is left to its timeout, or to the next sender", "transactional_id", s.id, "error", err)
	}
}
