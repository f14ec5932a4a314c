package erasure

import (
	"errors"
	"fmt"
	"slices"
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
	// posts are a post's ids: with its author hashed, and as it was given,
	// which is what rows of a time without hashing have.
	posts  []string
	author string
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
	case o.Subject != "":
		if p.HashesAddresses() {
			t.posts = append(t.posts, key.Address(o.Subject))
		}
		if !slices.Contains(t.posts, o.Subject) {
			t.posts = append(t.posts, o.Subject)
		}
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
	if t.author != "" {
		return r.Collected.AuthorID == t.author
	}
	return slices.Contains(t.posts, r.Collected.PostID)
}

// owns says whether a post is to go, of which only the id is known: Bluesky's
// say who wrote them.
func (t target) owns(post string) bool {
	if t.author == "" {
		return slices.Contains(t.posts, post)
	}
	return strings.HasPrefix(post, "at://"+t.author+"/") || strings.HasPrefix(post, "at://"+t.Author+"/")
}

// takedowns are the records for the data set.
func (t target) takedowns() []*schemas.Takedown {
	if t.author != "" {
		return []*schemas.Takedown{{Schema: schemas.TakedownSchema, AuthorID: t.author, Media: t.Media}}
	}
	var all []*schemas.Takedown
	for _, post := range t.posts {
		all = append(all, &schemas.Takedown{Schema: schemas.TakedownSchema, PostID: post, Media: t.Media})
	}
	return all
}
