package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/stages"
)

// Folder is the place of one data set. It is safe for concurrent use.
type Folder struct {
	store store
	close func() error

	mu    sync.Mutex
	known map[string]Entry // by key; entries never change
}

// store is what a data set needs of a *bucket.Bucket.
type store interface {
	Create(ctx context.Context, key string, data []byte) error
	Upload(ctx context.Context, key string, r io.Reader, o *blob.WriterOptions) error
	Sync(key string) error
	WriteAll(ctx context.Context, key string, data []byte, o *blob.WriterOptions) error
	ReadAll(ctx context.Context, key string) ([]byte, error)
	NewRangeReader(ctx context.Context, key string, offset, length int64, o *blob.ReaderOptions) (*blob.Reader, error)
	Attributes(ctx context.Context, key string) (*blob.Attributes, error)
	Delete(ctx context.Context, key string) error
	List(o *blob.ListOptions) *blob.ListIterator
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// opened is a bucket with listings as a data set wants them.
type opened struct{ *bucket.Bucket }

// Keys lists all keys under a prefix.
func (o opened) Keys(ctx context.Context, prefix string) (keys []string, err error) {
	all := o.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := all.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return keys, nil
		case err != nil:
			return nil, err
		}
		keys = append(keys, o.Key)
	}
}

// Open opens the data set at an address of package bucket.
func Open(ctx context.Context, address string) (*Folder, error) {
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	f := newFolder(opened{b})
	f.close = b.Close
	return f, nil
}

func newFolder(s store) *Folder {
	return &Folder{store: s, close: func() error { return nil }, known: make(map[string]Entry)}
}

// Close ends its use.
func (f *Folder) Close() error { return f.close() }

// Shard opens a shard by its path, as entries name it; the reader is to be
// closed. IsNotExist tells that it is gone: a takedown has rewritten it, and the
// log names another.
func (f *Folder) Shard(ctx context.Context, path string, alloc memory.Allocator) (*Reader, error) {
	about, err := f.store.Attributes(ctx, path)
	if err != nil {
		return nil, away(ctx, "opening shard "+path, err)
	}
	r, err := NewReader(&object{ctx: ctx, store: f.store, key: path, size: about.Size}, alloc)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", path, err)
	}
	return r, nil
}

// IsNotExist reports whether an error says that something is not there.
func IsNotExist(err error) bool { return bucket.IsNotExist(err) }

// list returns all keys under a prefix.
func (f *Folder) list(ctx context.Context, prefix string) ([]string, error) {
	for try := 0; ; try++ {
		keys, err := f.store.Keys(ctx, prefix)
		switch {
		case err == nil:
			return keys, nil
		case IsNotExist(err) && try < listTries:
			// A folder whose files come and go while the library walks through it.
		default:
			return nil, again(ctx, "listing "+prefix, err)
		}
	}
}

const listTries = 10

// remove deletes what may be gone already.
func (f *Folder) remove(ctx context.Context, key string) error {
	if err := f.store.Delete(ctx, key); err != nil && !IsNotExist(err) {
		return away(ctx, "deleting "+key, err)
	}
	return nil
}

// away makes a Transient of what a retry may mend: all but refusals. ctx is
// the caller's: when it has ended, that is what is reported.
func away(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err = fmt.Errorf("dataset: %s: %w", doing, err)
	switch gcerrors.Code(err) { //nolint:exhaustive // the others pass
	case gcerrors.NotFound, gcerrors.PermissionDenied, gcerrors.InvalidArgument, gcerrors.Unimplemented, gcerrors.FailedPrecondition:
		return err
	}
	return &stages.Transient{Err: err}
}

// object reads a shard where it lies, a range a request.
type object struct {
	ctx   context.Context //nolint:containedctx // io.ReaderAt has none
	store store
	key   string
	size  int64
	at    int64
}

// ReadAt reads a range.
func (o *object) ReadAt(p []byte, off int64) (n int, err error) {
	if off >= o.size {
		return 0, io.EOF
	}
	short := off+int64(len(p)) > o.size
	if short {
		p = p[:o.size-off]
	}
	r, err := o.store.NewRangeReader(o.ctx, o.key, off, int64(len(p)), nil)
	if err != nil {
		return 0, away(o.ctx, "reading "+o.key, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if n, err = io.ReadFull(r, p); err != nil {
		return n, away(o.ctx, "reading "+o.key, err)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// Seek moves the position; Parquet's reader asks for the length by it.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("dataset: seeking %s to %d", o.key, offset)
	}
	o.at = offset
	return offset, nil
}
