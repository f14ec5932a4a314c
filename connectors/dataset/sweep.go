package dataset

import (
	"context"
	"errors"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/stages"
)

// Sweep deletes the partition's shards that no entry names, and files that
// somebody was writing when he died, and returns their keys. It also loads the chain. Call
// it when a partition is taken over, and now and then.
//
// A shard may be nobody's because its writer is about to create its entry. So
// where that entry could still be created, Sweep takes its place first: with
// a copy of the entry that holds, or at the chain's end with one of no
// offsets. A writer that lives then finds the place taken, and takes the next.
func (c *Chain) Sweep(ctx context.Context, now time.Time) (removed []string, err error) {
	// The log is read after the shards are listed: of those that it does not
	// name, none is in it.
	shards := make(map[string]place)
	var left []string
	for _, prefix := range []string{dataPrefix, logPrefix(c.input), manifestName + ".", cardName + "."} {
		keys, err := c.folder.list(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			switch at, ok := shardAt(key); {
			case bucket.Leftover(key) && (prefix != dataPrefix || ok && at.input == c.input):
				left = append(left, key)
			case ok && at.input == c.input:
				shards[key] = at
			}
		}
	}
	if err := c.Load(ctx); err != nil {
		return nil, err
	}
	for _, e := range c.held {
		delete(shards, e.Shard)
	}
	for key, at := range shards {
		switch dead, err := c.settle(ctx, key, at, now); {
		case err != nil:
			return removed, err
		case dead:
			left = append(left, key)
		}
	}
	for _, key := range left {
		stages.Reach(ctx, AfterFence)
		if at, ok := shards[key]; ok {
			if err := c.strip(ctx, at.from); err != nil {
				return removed, err
			}
		}
		if err := c.folder.remove(ctx, key); err != nil {
			return removed, err
		}
		removed = append(removed, key)
	}
	return removed, nil
}

// settle makes sure that a shard will never be in the log, and reports
// whether it is not.
func (c *Chain) settle(ctx context.Context, key string, at place, now time.Time) (dead bool, err error) {
	for {
		for _, e := range c.held {
			if e.Shard == key {
				return false, nil
			}
		}
		rev, taken := c.revs[at.from]
		switch {
		case taken && at.rev <= rev:
			return true, nil
		case at.from > c.End():
			return false, nil // its writer knows more than we do
		case at.from < c.End() && !taken:
			return true, nil
		}
		fence := c.next(at.from, nil)
		fence.Rev, fence.To = at.rev, at.from
		for _, e := range c.held {
			if e.From == at.from {
				token := fence.Token
				fence = e
				fence.Rev, fence.Token = at.rev, token
			}
		}
		fence.Written = now.UTC()
		if _, err := c.create(ctx, fence); err != nil && !errors.Is(err, ErrLost) {
			return false, err
		}
		if err := c.Load(ctx); err != nil {
			return false, err
		}
	}
}
