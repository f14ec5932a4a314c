package erasure

import (
	"errors"
	"fmt"
	"strings"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

// Options say what is taken down.
type Options struct {
	// Subject is the id of a post, Author that of an author: one of the two, as
	// the input has it or as results do.
	Subject, Author string
	// Media takes the images along even where other posts have them.
	Media bool
	// Reason is for the receipt.
	Reason string
}

// target is what is taken down, as it is kept.
type target struct {
	Options
	post, author string // one of the two
}

// hashed begins the ids of authors that are hashed already.
const hashed = "hmac-sha256:"

func newTarget(o Options, p config.Privacy) (target, error) {
	t := target{Options: o}
	if (o.Subject == "") == (o.Author == "") {
		return t, errors.New("--subject, --author: must be one of the two")
	}
	key, err := p.Key()
	if err != nil {
		return t, err
	}
	switch {
	case o.Subject != "" && p.Addresses == config.Hash:
		t.post = key.Address(o.Subject)
	case o.Subject != "":
		t.post = o.Subject
	case p.Authors != config.Hash:
		return t, fmt.Errorf("--author: privacy.authors is %s: no row says who wrote it; take his posts down by --subject", p.Authors)
	case !strings.HasPrefix(o.Author, hashed):
		t.author = key.Hash(o.Author)
	case !strings.HasPrefix(o.Author, hashed+key.ID()+":"):
		return t, fmt.Errorf("--author: %s is a hash of another key than privacy.author_key (%s): give the author's id, or that key", o.Author, key.ID())
	default:
		t.author = o.Author
	}
	return t, nil
}

// covers says whether a row is to go. It needs the post's and the author's id.
func (t target) covers(r *dataset.Row) bool {
	if t.post != "" {
		return r.Collected.PostID == t.post
	}
	return r.Collected.AuthorID == t.author
}

// owns says whether a post is to go, of which only the id is known: Bluesky's
// say who wrote them.
func (t target) owns(post string) bool {
	if t.post != "" {
		return post == t.post
	}
	return strings.HasPrefix(post, "at://"+t.author+"/") || strings.HasPrefix(post, "at://"+t.Author+"/")
}

// takedown is the record for the data set.
func (t target) takedown() *schemas.Takedown {
	return &schemas.Takedown{Schema: schemas.TakedownSchema, PostID: t.post, AuthorID: t.author, Media: t.Media}
}
