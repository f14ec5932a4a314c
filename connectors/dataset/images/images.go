// Package images keeps the encoded images of the data set, each once, under
// the SHA-256 of its bytes: ab/ab12….
//
// Asking when an image may go? Read Fresh, then Delete.
package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
)

// Fresh is how old an image may be that Put takes for put: an older one is
// written again. Whoever deletes images that no row refers to spares those
// younger than Grace, which is longer, so that an image that somebody put just now, for a
// row that is not yet in the data set, stays.
const (
	Fresh = 15 * time.Second
	Grace = 2 * Fresh
)

var (
	// ErrMissing is for an image that is not in the store.
	ErrMissing = errors.New("the image is not in the store")
	// ErrCorrupt is for bytes that are not those of their digest.
	ErrCorrupt = errors.New("the image is not the one of its digest")
)

// Store keeps images in a bucket. It may be used by many at the same time.
type Store struct {
	bucket *bucket.Bucket
	now    func() time.Time
}

// New makes a store of a bucket, which stays the caller's to close.
func New(b *bucket.Bucket, now func() time.Time) *Store {
	return &Store{bucket: b, now: now}
}

// Key is where the image of a digest, 64 hexadecimal digits, lies in its
// bucket.
func Key(digest string) (string, error) {
	sum, err := hex.DecodeString(digest)
	if err != nil || len(sum) != sha256.Size || hex.EncodeToString(sum) != digest {
		return "", fmt.Errorf("images: %.80q is no SHA-256: must be 64 hexadecimal digits, in lower case", digest)
	}
	return digest[:2] + "/" + digest, nil
}

// Put stores an image of a MIME type, once for any number of calls. After it
// the image is younger than Fresh.
func (s *Store) Put(ctx context.Context, digest string, data []byte, mime string) error {
	key, err := Key(digest)
	if err != nil {
		return err
	}
	had, err := s.bucket.Attributes(ctx, key)
	switch {
	case err != nil && !bucket.IsNotExist(err):
		return fmt.Errorf("images: looking for %s: %w", digest, err)
	case err == nil && had.Size == int64(len(data)) && s.now().Sub(had.ModTime) < Fresh:
		return nil
	}
	for try := 1; ; try++ {
		err := s.bucket.WriteAll(ctx, key, data, &blob.WriterOptions{ContentType: mime})
		switch {
		case err == nil:
			return nil
		case !bucket.IsNotExist(err) || try == tries:
			return fmt.Errorf("images: writing %s: %w", digest, err)
		}
	}
}

// tries is how often something is begun again because a file went meanwhile:
// deleting an image takes away what somebody is just writing under its key.
const tries = 10

// Get returns an image's bytes, at most limit of them, as they were put.
func (s *Store) Get(ctx context.Context, digest string, limit int64) ([]byte, error) {
	key, err := Key(digest)
	if err != nil {
		return nil, err
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	switch {
	case bucket.IsNotExist(err):
		return nil, fmt.Errorf("images: %s: %w", digest, ErrMissing)
	case err != nil:
		return nil, fmt.Errorf("images: reading %s: %w", digest, err)
	}
	defer r.Close()
	if r.Size() > limit {
		return nil, fmt.Errorf("images: %s has %d bytes, more than %d: %w", digest, r.Size(), limit, ErrCorrupt)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return nil, fmt.Errorf("images: reading %s: %w", digest, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("images: %s: %w", digest, ErrCorrupt)
	}
	return data, nil
}

// Age returns how long ago an image was put.
func (s *Store) Age(ctx context.Context, digest string) (time.Duration, error) {
	key, err := Key(digest)
	if err != nil {
		return 0, err
	}
	had, err := s.bucket.Attributes(ctx, key)
	switch {
	case bucket.IsNotExist(err):
		return 0, fmt.Errorf("images: %s: %w", digest, ErrMissing)
	case err != nil:
		return 0, fmt.Errorf("images: looking for %s: %w", digest, err)
	}
	return s.now().Sub(had.ModTime), nil
}

// Delete removes an image, and what is left of attempts to write it. One that
// is not there is no error.
func (s *Store) Delete(ctx context.Context, digest string) error {
	key, err := Key(digest)
	if err != nil {
		return err
	}
	if err := s.bucket.Delete(ctx, key); err != nil && !bucket.IsNotExist(err) {
		return fmt.Errorf("images: deleting %s: %w", digest, err)
	}
	for try := 1; ; try++ {
		err := s.deleteAll(ctx, key)
		switch {
		case err == nil:
			return nil
		case !bucket.IsNotExist(err) || try == tries:
			return fmt.Errorf("images: deleting what is left of %s: %w", digest, err)
		}
	}
}

func (s *Store) deleteAll(ctx context.Context, prefix string) error {
	all := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		found, err := all.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := s.bucket.Delete(ctx, found.Key); err != nil && !bucket.IsNotExist(err) {
			return err
		}
	}
}
