package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

const (
	folderMode = 0o777 // less the umask, as of the files that the library makes
	fileMode   = 0o666
)

// ErrExists is for a key that somebody else has created before.
var ErrExists = errors.New("it exists already")

// Create writes data under a key that must be new. Of all who try, in this
// process and in others, one succeeds; the others get ErrExists. When it
// returns nil the data outlive a loss of power, in so far as the store keeps such promises.
//
// The library's own option for that looks first and renames then when it
// writes files, so two may succeed; hence files are linked to their names.
func (b *Bucket) Create(ctx context.Context, key string, data []byte) error {
	var err error
	if b.dir != "" {
		err = b.createFile(key, data)
	} else {
		err = b.WriteAll(ctx, key, data, &blob.WriterOptions{IfNotExist: true})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist), gcerrors.Code(err) == gcerrors.FailedPrecondition:
		return fmt.Errorf("bucket: creating %s: %w", key, ErrExists)
	}
	return fmt.Errorf("bucket: creating %s: %w", key, err)
}

func (b *Bucket) createFile(key string, data []byte) (err error) {
	name, err := b.file(key)
	if err != nil {
		return err
	}
	folder := filepath.Dir(name)
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, filepath.Base(name)+".*"+leftover)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(modeOf(folder)), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(folder)
}

// modeOf gives a file the rights of its folder, less execution: temporary
// files have none for others.
func modeOf(folder string) fs.FileMode {
	info, err := os.Stat(folder)
	if err != nil {
		return 0o600
	}
	return info.Mode().Perm() & fileMode
}

// Sync makes what was written under a key outlive a loss of power. Object
// stores need no such call.
func (b *Bucket) Sync(key string) error {
	if b.dir == "" {
		return nil
	}
	name, err := b.file(key)
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	for _, at := range []string{name, filepath.Dir(name)} {
		if err := syncFolder(at); err != nil {
			return fmt.Errorf("bucket: syncing %s: %w", key, err)
		}
	}
	return nil
}

func syncFolder(name string) error {
	f, err := os.Open(name) //nolint:gosec // below the bucket's folder
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// file is where a key lies. Keys that the library would spell differently are
// refused: nobody needs them.
func (b *Bucket) file(key string) (string, error) {
	if !fs.ValidPath(key) || key == "." || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' }) {
		return "", fmt.Errorf("%q is no key: must be names with slashes between", key)
	}
	return filepath.Join(b.dir, filepath.FromSlash(key)), nil
}

const leftover = ".tmp"

// Leftover reports whether a key is that of a file that a process was writing
// under another key when it died, <key>.<anything>.tmp. Listings show them, so whoever
// lists passes over them; whoever owns the folder deletes old ones.
func Leftover(key string) bool { return path.Ext(key) == leftover }
