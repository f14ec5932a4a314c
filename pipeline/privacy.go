package pipeline

import (
	"crypto/rand"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

// privacy keeps author ids inside. Decode puts hashes in their place, so no
// later stage, rule, store or log ever sees one; what is left is the input's key,
// which may be an author's id itself.
type privacy struct {
	key       *schemas.AuthorKey
	named     bool // results name authors
	addresses bool // authors are hashed inside addresses, too
}

// newPrivacy reads the key. Without one authors are told apart by a key that
// nobody knows, for as long as the process runs, and not named.
func newPrivacy(cfg config.Privacy) (*privacy, error) {
	p := &privacy{named: cfg.Authors == config.Hash, addresses: cfg.HashesAddresses()}
	var err error
	if p.key, err = cfg.Key(); err != nil || p.key != nil {
		return p, err
	}
	p.key, err = schemas.NewAuthorKey(rand.Text() + rand.Text())
	return p, err
}

// address is what decode and results make of a post's ids and URIs; nil for
// nothing.
func (p *privacy) address() func(string) string {
	if !p.addresses {
		return nil
	}
	return p.key.Address
}

// inputKey is what leaves of an input record's key, nil for nothing: a key
// that is the author's id leaves as results name him.
func (p *privacy) inputKey(b *schemas.Batch, row int, key []byte) []byte {
	authors := schemas.Col[*array.String](b.Posts(), schemas.PostAuthor)
	hash := p.key.Hash(string(key))
	switch {
	case authors.IsValid(row) && authors.Value(row) == hash:
		if p.named {
			return []byte(hash)
		}
		return nil
	case p.addresses:
		return []byte(p.key.Address(string(key)))
	}
	return key
}
