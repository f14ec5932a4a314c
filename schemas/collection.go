package schemas

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNotCollection is for a value that is no record of the collected topic, or
// one of a version that we do not read.
var ErrNotCollection = errors.New("no record of the collected topic")

// ReadCollection decodes a value of the collected topic; one of the two is
// not nil. Fields that are not known are ignored: the writer may be newer.
func ReadCollection(value []byte) (*Collected, *Takedown, error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(value, &head); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNotCollection, err)
	}
	switch head.Schema {
	case CollectedSchema:
		c := new(Collected)
		if err := read(value, c); err != nil {
			return nil, nil, err
		}
		return c, nil, nil
	case TakedownSchema:
		t := new(Takedown)
		if err := read(value, t); err != nil {
			return nil, nil, err
		}
		return nil, t, nil
	}
	return nil, nil, fmt.Errorf("%w: schema %.40q is neither %s nor %s", ErrNotCollection, head.Schema, CollectedSchema, TakedownSchema)
}

func read(value []byte, into interface{ Check() error }) error {
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCollection, err)
	}
	if err := into.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCollection, err)
	}
	return nil
}

// Check reports every fault of what a row of the data set cannot do without.
func (c *Collected) Check() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Schema == CollectedSchema, "schema: %.40q is not %s", c.Schema, CollectedSchema)
	check(c.ResultID != "", "result_id: missing")
	check(c.PostID != "", "post_id: missing")
	check(c.Pair >= 0, "pair: %d is negative", c.Pair)
	digest, err := hex.DecodeString(c.Image.Digest)
	check(err == nil && len(digest) == 32 && hex.EncodeToString(digest) == c.Image.Digest,
		"image.digest: must be a SHA-256 as 64 hexadecimal digits, in lower case")
	check(c.Image.Bytes > 0, "image.bytes: %d is not positive", c.Image.Bytes)
	_, known := RelationOf(c.Relation)
	check(known, "relation: %.40q is none of %q", c.Relation, RelationNames())
	check(c.Selected.Probability > 0 && c.Selected.Probability <= 1, "selected.probability: %v is not above 0 and at most 1", c.Selected.Probability)
	return errors.Join(faults...)
}

// Check reports a takedown of nobody, or of two at once.
func (t *Takedown) Check() error {
	switch {
	case t.Schema != TakedownSchema:
		return fmt.Errorf("schema: %.40q is not %s", t.Schema, TakedownSchema)
	case (t.PostID == "") == (t.AuthorID == ""):
		return errors.New("post_id, author: must be one of the two")
	}
	return nil
}

// Encode writes a shape as JSON, without what Go escapes for the sake of HTML:
// that makes URLs longer and unreadable.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
