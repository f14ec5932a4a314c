package dataset

import (
	"context"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// References are the posts, authors and images that rows name, as 8 bytes
// each: enough to find the shards that a takedown touches without reading them.
// They must not change while they are read.
type References struct {
	names hashes
}

// Add adds those of a row.
func (r *References) Add(row *Row) {
	for _, x := range references(row) {
		r.names.add(x)
	}
}

// Has reports whether a row names something.
func (r *References) Has(what Taken) bool { return r.names.has(what.short()) }

// HasAny reports whether a row names one of what is fresh.
func (r *References) HasAny(fresh []uint64) bool { return slices.ContainsFunc(fresh, r.names.has) }

// Shrink makes them as small as they can be; Bytes is what they take then.
func (r *References) Shrink() {
	r.names.sort()
	r.names.sorted = slices.Clip(r.names.sorted)
}

// Bytes is about what they take in memory once shrunk.
func (r *References) Bytes() int { return 8*r.names.len() + 64 }

// references of one row: its post, image and author.
func references(r *Row) []uint64 {
	c := &r.Collected
	names := []uint64{TakenPost(c.PostID).short(), TakenImage(c.Image.Digest).short()}
	if c.AuthorID != "" {
		names = append(names, TakenAuthor(c.AuthorID).short())
	}
	return names
}

// References reads those of an entry's shard. An entry without one has none.
func (f *Folder) References(ctx context.Context, e Entry, alloc memory.Allocator) (*References, error) {
	r := &References{}
	if e.Shard == "" {
		return r, nil
	}
	shard, err := f.Shard(ctx, e.Shard, alloc)
	if err != nil {
		return nil, err
	}
	defer shard.Close() //nolint:errcheck // it has nothing to close
	for row, err := range shard.Rows(ctx, ColPostID, ColAuthor, ColImageDigest) {
		if err != nil {
			return nil, err
		}
		r.Add(&row)
	}
	r.Shrink()
	return r, nil
}
