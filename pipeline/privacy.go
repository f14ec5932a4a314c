package pipeline

import (
	"hash/maphash"
	"strconv"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

// privacy keeps author ids inside. Decode puts something else in their place,
// so no later stage, rule, store or log ever sees one; what is left is the input's key,
// which may be an author's id itself.
type privacy struct {
	key       *schemas.AuthorKey // nil: nothing is hashed for others
	named     bool               // results name authors
	addresses bool               // authors are hashed inside addresses, too
	seed      maphash.Seed       // of marks
}

// newPrivacy reads the key.
func newPrivacy(cfg config.Privacy) (*privacy, error) {
	p := &privacy{named: cfg.Authors == config.Hash, addresses: cfg.HashesAddresses(), seed: maphash.MakeSeed()}
	var err error
	p.key, err = cfg.Key()
	return p, err
}

// author is what decode makes of an author's id, empty for nobody: his name in
// results, or a mark that tells him from others inside of this process and that is read by
// inputKey alone.
func (p *privacy) author(id string) string {
	switch {
	case p.named:
		return p.key.Hash(id)
	case id == "":
		return ""
	}
	return strconv.FormatUint(maphash.String(p.seed, id), 36)
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
// that is the author's id leaves as results name him. The author is as the function
// author made him.
func (p *privacy) inputKey(author string, key []byte) []byte {
	switch {
	case p.is(author, key):
		if p.named {
			return []byte(author)
		}
		return nil
	case p.addresses:
		return []byte(p.key.Address(string(key)))
	}
	return key
}

// is reports whether a key is the id of an author.
func (p *privacy) is(author string, key []byte) bool {
	if author == "" || p.named {
		return author != "" && author == p.key.Hash(string(key))
	}
	var room [13]byte
	return author == string(strconv.AppendUint(room[:0], maphash.Bytes(p.seed, key), 36))
}
