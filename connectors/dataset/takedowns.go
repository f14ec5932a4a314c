package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
)

// Taken stands for something that must not be in the data set: a SHA-256 of
// what it is and of its id, so that the set tells nobody whom it is about.
type Taken [sha256.Size]byte

// TakenPost stands for a post.
func TakenPost(id string) Taken { return taken("post", id) }

// TakenAuthor stands for an author, by the hash that rows name him by.
func TakenAuthor(hash string) Taken { return taken("author", hash) }

// TakenImage stands for an image, by its digest.
func TakenImage(digest string) Taken { return taken("image", digest) }

// WithMedia stands for a takedown that takes the images along, wherever else
// they are: whoever finds a row of it adds TakenImage.
func (t Taken) WithMedia() Taken { return taken("media", string(t[:])) }

func taken(what, id string) Taken { return sha256.Sum256([]byte(what + "\x00" + id)) }

// short is what is kept in memory. Among a hundred million takedowns one row of
// 10¹¹ is taken for another.
func (t Taken) short() uint64 { return binary.BigEndian.Uint64(t[:]) }

// Takedowns is the set of all that must not be in the data set. It only grows,
// and costs about 8 bytes of memory and 32 of storage for each. Whoever works on the
// data set holds one; they tell each other through files under takedowns/. It is safe
// for concurrent use. An id that can be guessed can be looked for in the files: they
// are no place for everybody.
type Takedowns struct {
	folder *Folder
	now    func() time.Time

	// writing is held while a file is written or files are read, which may
	// take long; mu only for memory.
	writing sync.Mutex
	read    map[string]bool // keys of the files that are known; they never change
	name    string          // what the keys of the file that this one writes have in common
	key     string          // its key; empty before it is written

	mu  sync.Mutex
	set hashes
	own []Taken // of the file that this one writes
	// saved is how many of own are in the file.
	saved int
	began time.Time
	fresh Fresh // not yet handed out
}

// Fresh is what has come to the set: of one's own, and of others.
type Fresh struct {
	Own, Others []uint64
}

const (
	takedownPrefix = "takedowns/"
	takedownSuffix = ".sha256"
	// takedownHead begins each file; hashes follow, one after the other.
	takedownHead = "itrstream.takedowns.v1\n"
	// A file is replaced by a longer one at each Save until it is this long, 2
	// MiB, or old: at most some 1,500 files a year remain of each writer.
	takedownsPerFile = 1 << 16
	takedownFileAge  = 6 * time.Hour
)

// OpenTakedowns reads the set of a data set.
func OpenTakedowns(ctx context.Context, f *Folder, now func() time.Time) (*Takedowns, error) {
	t := &Takedowns{folder: f, now: now, read: make(map[string]bool)}
	if err := t.Refresh(ctx); err != nil {
		return nil, err
	}
	t.Fresh()
	return t, nil
}

// Has reports whether something is in the set.
func (t *Takedowns) Has(what Taken) bool { return t.has(what.short()) }

func (t *Takedowns) has(short uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.set.has(short)
}

// Len returns how many there are.
func (t *Takedowns) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.set.len()
}

// Covers reports whether a row must not be in the data set.
func (t *Takedowns) Covers(r *Row) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(references(r), t.set.has)
}

// Touch reports whether one of the rows must not be in the data set.
func (t *Takedowns) Touch(r *References) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for x := range r.names.all() {
		if t.set.has(x) {
			return true
		}
	}
	return false
}

// Add adds to the set in memory. Save makes it last.
func (t *Takedowns) Add(what ...Taken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range what {
		if t.set.add(w.short()) {
			t.own = append(t.own, w)
			t.fresh.Own = append(t.fresh.Own, w.short())
		}
	}
}

// Fresh returns what has come to the set since it was last called.
func (t *Takedowns) Fresh() Fresh {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.fresh
	t.fresh = Fresh{}
	return fresh
}

// Save makes everything last that was added before the call.
func (t *Takedowns) Save(ctx context.Context) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	for {
		t.mu.Lock()
		done, some := t.saved == len(t.own), t.own[:min(len(t.own), takedownsPerFile)]
		t.mu.Unlock()
		if done {
			return nil
		}
		if t.key == "" {
			t.began = t.now()
			t.name = takedownPrefix + t.began.UTC().Format("20060102T150405") + "-" + newToken()
		}
		key := fmt.Sprintf("%s.%d%s", t.name, len(some), takedownSuffix)
		if err := t.folder.store.WriteAll(ctx, key, encodeTakedowns(some), &blob.WriterOptions{ContentType: "application/octet-stream"}); err != nil {
			return again(ctx, "writing "+key, err)
		}
		if err := t.folder.store.Sync(key); err != nil {
			return again(ctx, "writing "+key, err)
		}
		t.read[key] = true
		former := t.key
		t.mu.Lock()
		t.key, t.saved = key, len(some)
		if t.saved == takedownsPerFile || t.now().Sub(t.began) > takedownFileAge {
			t.own, t.key, t.saved = slices.Clone(t.own[t.saved:]), "", 0
		}
		t.mu.Unlock()
		if former != "" && former != key {
			if err := t.folder.remove(ctx, former); err != nil {
				return err
			}
		}
	}
}

// Refresh reads what others have added.
func (t *Takedowns) Refresh(ctx context.Context) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	for {
		keys, err := t.folder.list(ctx, takedownPrefix)
		if err != nil {
			return err
		}
		listed, replaced := make(map[string]bool, len(keys)), false
		for _, key := range keys {
			if bucket.Leftover(key) || !strings.HasSuffix(key, takedownSuffix) {
				continue
			}
			if listed[key] = true; t.read[key] {
				continue
			}
			text, err := t.folder.store.ReadAll(ctx, key)
			if IsNotExist(err) {
				replaced = true
				continue
			}
			if err != nil {
				return away(ctx, "reading "+key, err)
			}
			if err := t.take(text); err != nil {
				return fmt.Errorf("dataset: %s %w", key, err)
			}
			t.read[key] = true
		}
		if !replaced {
			maps.DeleteFunc(t.read, func(key string, _ bool) bool { return !listed[key] })
			return nil
		}
	}
}

func (t *Takedowns) take(text []byte) error {
	found, err := decodeTakedowns(text)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range found {
		if t.set.add(w.short()) {
			t.fresh.Others = append(t.fresh.Others, w.short())
		}
	}
	return nil
}

func encodeTakedowns(all []Taken) []byte {
	b := append(make([]byte, 0, len(takedownHead)+len(all)*sha256.Size), takedownHead...)
	for _, t := range all {
		b = append(b, t[:]...)
	}
	return b
}

func decodeTakedowns(b []byte) ([]Taken, error) {
	rest, ok := bytes.CutPrefix(b, []byte(takedownHead))
	if !ok {
		return nil, errors.New("is no file of takedowns, or one of a newer itrstream")
	}
	if len(rest)%sha256.Size != 0 {
		return nil, fmt.Errorf("is damaged: %d bytes are no whole number of hashes", len(rest))
	}
	all := make([]Taken, 0, len(rest)/sha256.Size)
	for h := range slices.Chunk(rest, sha256.Size) {
		all = append(all, Taken(h))
	}
	return all, nil
}
