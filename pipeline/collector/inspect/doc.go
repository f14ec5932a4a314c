// Package inspect looks at a data set from outside: what is in it, whether it is whole, and what it looks like.
//
// Adding a figure? Read Report and its tally. Adding a check? Read Verify, and row in rows.go for what is checked of each row.
// Choosing other rows for a contact sheet? Read Sample.
//
// Nothing here writes, and a collector may be at work meanwhile: a shard that a takedown has rewritten is looked for again.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/dataset/bucket"
)

// Set is a data set that is looked at.
type Set struct {
	folder *dataset.Folder
	files  *bucket.Bucket
	alloc  memory.Allocator
}

// Open opens the data set at a folder of this machine or at an address of package bucket.
func Open(ctx context.Context, place string) (*Set, error) {
	address, err := addressOf(place)
	if err != nil {
		return nil, err
	}
	folder, err := dataset.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	files, err := bucket.Open(ctx, address)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	s := &Set{folder: folder, files: files, alloc: memory.DefaultAllocator}
	inputs, err := folder.Partitions(ctx)
	if err == nil && len(inputs) == 0 {
		err = fmt.Errorf("%s: no data set: its log/ names no partition; itrstream collect writes one there", place)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// addressOf makes an address of a folder's path, and refuses a folder that is not there, which opening would make.
func addressOf(place string) (string, error) {
	dir := place
	if strings.Contains(place, "://") {
		u, err := url.Parse(place)
		if err != nil || u.Scheme != "file" {
			return place, nil //nolint:nilerr // package bucket says what is wrong with it
		}
		dir = u.Path
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", place, err)
	}
	about, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("%s: no data set: %w", place, err)
	}
	if !about.IsDir() {
		return "", fmt.Errorf("%s: no data set: it is a file; name the folder that itrstream collect writes into", place)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String(), nil
}

// Close ends its use.
func (s *Set) Close() error { return errors.Join(s.files.Close(), s.folder.Close()) }

// errGone says that a shard is not there any more, and that no other has taken its place.
var errGone = errors.New("is not there")

// shard calls read with an entry's shard. When a takedown has rewritten it meanwhile, read is called again, with the entry that
// holds now, and is to forget what it has read. An entry without rows is not read.
func (s *Set) shard(ctx context.Context, e dataset.Entry, read func(dataset.Entry) error) error {
	for e.Shard != "" {
		err := read(e)
		if !dataset.IsNotExist(err) {
			return err
		}
		chain, loading := s.folder.Chain(ctx, e.Input())
		if loading != nil {
			return loading
		}
		at := -1
		for i, now := range chain.Entries() {
			if now.From == e.From {
				at = i
			}
		}
		if at < 0 || chain.Entries()[at].Rev == e.Rev {
			return fmt.Errorf("shard %s %w", e.Shard, errGone)
		}
		e = chain.Entries()[at]
	}
	return nil
}

// rows calls each for every row of the data set, with the named columns filled.
func (s *Set) rows(ctx context.Context, begin func(dataset.Entry), each func(*dataset.Row), columns ...string) error {
	entries, err := s.folder.Entries(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var rows []dataset.Row
		err := s.shard(ctx, e, func(now dataset.Entry) error {
			e, rows = now, rows[:0]
			r, err := s.folder.Shard(ctx, now.Shard, s.alloc)
			if err != nil {
				return err
			}
			for row, err := range r.Rows(ctx, columns...) {
				if err != nil {
					return errors.Join(fmt.Errorf("shard %s: %w", now.Shard, err), r.Close())
				}
				rows = append(rows, row)
			}
			return r.Close()
		})
		if err != nil {
			return err
		}
		begin(e)
		for i := range rows {
			each(&rows[i])
		}
	}
	return nil
}
