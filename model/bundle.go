package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// bundle is a folder whose every file is what its manifest says.
type bundle struct {
	manifest Manifest
	digest   string            // SHA-256 of the manifest, in hexadecimal
	files    map[string][]byte // the files that Open needs: graphs and vocabulary
}

// Inspect checks a bundle's files against its manifest, and returns that with
// the bundle's digest. No graph is run.
func Inspect(dir string) (Manifest, string, error) {
	b, err := readBundle(dir)
	if err != nil {
		return Manifest{}, "", err
	}
	return b.manifest, b.digest, nil
}

// locate finds a bundle that is named by a relative path: here, or else beside
// the executable or one folder above it, where a checkout and an image have it.
func locate(dir string) string {
	if _, err := os.Stat(dir); err == nil || filepath.IsAbs(dir) {
		return dir
	}
	executable, err := os.Executable()
	if err != nil {
		return dir
	}
	folder := filepath.Dir(executable)
	for _, base := range []string{folder, filepath.Dir(folder)} {
		if found := filepath.Join(base, dir); isFolder(found) {
			return found
		}
	}
	return dir
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readBundle reads and checks a bundle. The error lists every fault: of the
// manifest, or else of the files.
func readBundle(dir string) (*bundle, error) {
	dir = locate(dir)
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model: there is no bundle %s, neither here nor beside the executable or one folder above it (set model.bundle to a bundle's folder): %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("model: open bundle: %w", err)
	}
	defer func() { _ = root.Close() }()
	data, err := root.ReadFile(ManifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model: %s is no bundle: it has no %s", dir, ManifestFile)
	}
	if err != nil {
		return nil, fmt.Errorf("model: read bundle %s: %w", dir, err)
	}
	m, err := ParseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	b := &bundle{manifest: m, digest: hexDigest(data), files: map[string][]byte{}}
	if err := b.readFiles(root.FS()); err != nil {
		return nil, fmt.Errorf("model: the files of bundle %s are not those that its %s lists:\n%w", dir, ManifestFile, err)
	}
	return b, nil
}

// readFiles compares every file with its digest. Graphs and tokenizer files are
// kept from the same reading, so that what was checked is what runs.
func (b *bundle) readFiles(folder fs.FS) error {
	m := &b.manifest
	keep := []string{m.Text.Graph, m.Text.Tokenizer.Vocab, m.Text.Tokenizer.Merges, m.Image.Graph, m.Head.Graph, m.Explain.Graph}
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(m.Files)) {
		var found string
		var err error
		if slices.Contains(keep, path) {
			if b.files[path], err = fs.ReadFile(folder, path); err == nil {
				found = hexDigest(b.files[path])
			}
		} else {
			found, err = digestOf(folder, path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s is missing", path))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s cannot be read: %w", path, err))
		case found != m.Files[path]:
			errs = append(errs, fmt.Errorf("%s has SHA-256 %s, the manifest says %s", path, found, m.Files[path]))
		}
	}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == ManifestFile {
			return err
		}
		if _, ok := m.Files[path]; !ok {
			errs = append(errs, fmt.Errorf("%s is not listed", path))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func digestOf(folder fs.FS, path string) (string, error) {
	file, err := folder.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
