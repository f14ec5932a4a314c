// Package bucket opens the folders and object stores that images and data sets
// lie in: file:///folder, s3://bucket, gs://bucket, azblob://container, the
// latter three with ?prefix=some/folder/ where they share one, and with the
// parameters of gocloud.dev/blob.
//
// Writing something that only one of several may write? Read Create.
// Found a file that ends in .tmp? A process died while it wrote: read Leftover.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob" // gs://
	_ "gocloud.dev/blob/s3blob"  // s3://
	"gocloud.dev/gcerrors"
)

// Bucket is a folder or an object store. Everything written is there whole or
// not at all. It may be used by many at the same time.
type Bucket struct {
	*blob.Bucket
	dir string // of file://, else empty
}

// Check reports what is wrong with a URL, without connecting to anything.
func Check(address string) error {
	_, err := parse(address)
	return err
}

func parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("is no URL: use file:///folder, s3://bucket, gs://bucket or azblob://container")
	case u.User != nil:
		return nil, errors.New("must not hold credentials: they belong into the environment, as the store's own tools have them")
	case u.Scheme == fileblob.Scheme:
		if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
			return nil, fmt.Errorf("%q: must be file:/// and an absolute folder, without parameters", u.Redacted())
		}
		return u, nil
	case slices.Contains([]string{"s3", "gs", "azblob"}, u.Scheme):
		if u.Host == "" {
			return nil, fmt.Errorf("%q: must name a bucket: %s://bucket", u.Redacted(), u.Scheme)
		}
		if p := u.Path; p != "" && p != "/" {
			return nil, fmt.Errorf("%q: a folder in a bucket is named by ?prefix=%s/", u.Redacted(), strings.Trim(p, "/"))
		}
		return u, nil
	}
	return nil, fmt.Errorf("%q: must begin with file:///, s3://, gs:// or azblob://", u.Redacted())
}

// Open opens a bucket by its URL. The folder of file:// is made unless it is
// there; of the others nothing is asked yet.
func Open(ctx context.Context, address string) (*Bucket, error) {
	u, err := parse(address)
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	if u.Scheme != fileblob.Scheme {
		b, err := blob.OpenBucket(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("bucket: opening %s: %w", u.Redacted(), err)
		}
		return &Bucket{Bucket: b}, nil
	}
	dir := filepath.Clean(u.Path)
	b, err := fileblob.OpenBucket(dir, &fileblob.Options{
		CreateDir: true, DirFileMode: folderMode,
		NoTempDir: true, // a rename must not leave the file system
		Metadata:  fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, fmt.Errorf("bucket: opening %s: %w", u.Redacted(), err)
	}
	return &Bucket{Bucket: b, dir: dir}, nil
}

// IsNotExist reports whether an error says that nothing lies under a key.
func IsNotExist(err error) bool { return gcerrors.Code(err) == gcerrors.NotFound }
