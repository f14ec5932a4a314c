package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Without rewrites a shard without the rows that gone names, and returns the
// entry that holds then: e itself where there are none.
//
// ErrLost: e does not hold any more. Load, and look at what does. An entry
// beside another error holds, as for Rewrite.
func (c *Chain) Without(ctx context.Context, e Entry, alloc memory.Allocator, now time.Time, gone func(*Row) bool) (_ Entry, err error) {
	if e.Shard == "" {
		return e, nil
	}
	r, err := c.folder.Shard(ctx, e.Shard, alloc)
	if IsNotExist(err) {
		return Entry{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err != nil {
		return Entry{}, err
	}
	defer r.Close() //nolint:errcheck // it has nothing to close
	d, err := draftWithout(ctx, r, alloc, gone)
	switch {
	case IsNotExist(err): // somebody else is rewriting it, too
		return Entry{}, fmt.Errorf("%w: %w", ErrLost, err)
	case err != nil:
		return Entry{}, fmt.Errorf("shard %s: %w", e.Shard, err)
	}
	defer func() { err = errors.Join(err, d.Discard()) }()
	if int64(d.Rows()) == e.Rows {
		return e, nil
	}
	return c.Rewrite(ctx, e, d, now)
}

// Without returns the draft without the rows that gone names, and discards d.
// None of it may have been appended yet.
func (d *Draft) Without(ctx context.Context, alloc memory.Allocator, gone func(*Row) bool) (_ *Draft, err error) {
	if err := d.end(); err != nil {
		return nil, err
	}
	r, err := NewReader(io.NewSectionReader(d.file, 0, d.length), alloc)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // it has nothing to close
	next, err := draftWithout(ctx, r, alloc, gone)
	if err != nil {
		return nil, err
	}
	return next, d.Discard()
}

func draftWithout(ctx context.Context, r *Reader, alloc memory.Allocator, gone func(*Row) bool) (*Draft, error) {
	d, err := NewDraft(alloc)
	if err != nil {
		return nil, err
	}
	for row, err := range r.Rows(ctx) {
		if err == nil && !gone(&row) {
			err = d.Add(&row)
		}
		if err != nil {
			return nil, errors.Join(err, d.Discard())
		}
	}
	return d, nil
}
