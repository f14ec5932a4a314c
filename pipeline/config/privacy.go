package config

import (
	"errors"
	"fmt"

	"github.com/itrstream/itrstream/connectors"
	"github.com/itrstream/itrstream/schemas"
)

// Values of Privacy.Authors and Privacy.Addresses.
const (
	Drop = "drop"
	Keep = "keep"
	Hash = "hash"
)

// Privacy says what leaves the process about authors. Their ids never do,
// except inside dead letters, which are the input's bytes.
type Privacy struct {
	// Authors is drop, which leaves author_id out of results, or hash, which
	// puts a keyed hash in its place and needs a key.
	Authors string `mapstructure:"authors"`
	// AuthorKey, or AuthorKeyFile, whose trailing line break is ignored: the
	// key, schemas.MinAuthorKey bytes or more.
	AuthorKey     connectors.Secret `mapstructure:"author_key"`
	AuthorKeyFile string            `mapstructure:"author_key_file"`
	// Addresses is keep, or hash, which puts a keyed hash in the place of the
	// author's id in post ids and URIs that hold one, as Bluesky's do. Empty is
	// hash with hashed authors: who asks for hashes shall not find the ids
	// beside them.
	Addresses string `mapstructure:"addresses"`
}

func (p Privacy) validate() error {
	var errs []error
	if p.Authors != Drop && p.Authors != Hash {
		errs = append(errs, fmt.Errorf("authors: %q: must be drop or hash", p.Authors))
	}
	if p.Addresses != "" && p.Addresses != Keep && p.Addresses != Hash {
		errs = append(errs, fmt.Errorf("addresses: %q: must be empty, keep or hash", p.Addresses))
	}
	switch given, needed := p.AuthorKey != "" || p.AuthorKeyFile != "", p.hashes(); {
	case p.AuthorKey != "" && p.AuthorKeyFile != "":
		errs = append(errs, errors.New("author_key: given beside author_key_file: must be one of the two"))
	case needed && !given:
		errs = append(errs, errors.New("author_key: missing: hashing needs a key: set privacy.author_key_file to a file with the output of openssl rand -hex 32, or ITRSTREAM_PRIVACY_AUTHOR_KEY to that output"))
	case given && !needed:
		errs = append(errs, errors.New("author_key: given, but nothing is hashed: set privacy.authors to hash, or leave the key out"))
	}
	return errors.Join(errs...)
}

// HashesAddresses reports whether author ids inside post ids and URIs are
// hashed.
func (p Privacy) HashesAddresses() bool { return p.addresses() == Hash }

// addresses is keep or hash.
func (p Privacy) addresses() string {
	switch {
	case p.Addresses != "":
		return p.Addresses
	case p.Authors == Hash:
		return Hash
	}
	return Keep
}

func (p Privacy) hashes() bool { return p.Authors == Hash || p.HashesAddresses() }

// Key reads the key; it is nil when nothing is hashed.
func (p Privacy) Key() (*schemas.AuthorKey, error) {
	if !p.hashes() {
		return nil, nil //nolint:nilnil // a nil key hashes nothing
	}
	name := "privacy.author_key"
	if p.AuthorKeyFile != "" {
		name = "privacy.author_key_file"
	}
	text, err := p.AuthorKey.Open(p.AuthorKeyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	key, err := schemas.NewAuthorKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}
