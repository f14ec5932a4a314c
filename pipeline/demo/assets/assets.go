// Package assets holds the demo's sample posts and makes Kafka messages of
// them: 48 images and the posts that show them, in the four relations, some
// of them broken.
//
// Adding a post? Write a line in posts.jsonl; entry tells its fields.
// Adding an image? Read README.md: where it comes from and its licence.
package assets

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/itrstream/itrstream/schemas"
)

//go:embed posts.jsonl
var posts []byte

//go:embed images
var images embed.FS

// Outcome is what the pipeline owes a message.
type Outcome string

// Outcomes.
const (
	Result     Outcome = "result"
	Tombstone  Outcome = "tombstone"
	DeadLetter Outcome = "dead letter"
)

// Message is one input record of the demo.
type Message struct {
	Name  string // the post's id
	Key   []byte // the post's id: what happens to one post stays in one partition
	Value []byte // post.v1, or something that only claims to be
	// Expected is the relation that the post was written for; empty when
	// there is none. Nobody annotated the posts: it is an author's intention.
	Expected string
	Outcome  Outcome
}

// entry is a line of posts.jsonl.
type entry struct {
	ID       string     `json:"id"`
	Op       schemas.Op `json:"op"`
	Author   string     `json:"author"`
	Langs    []string   `json:"langs"`
	Text     string     `json:"text"`
	Images   []picture  `json:"images"`
	Fault    string     `json:"fault"` // how the message itself is broken: cut_json, schema
	Expected string     `json:"expected"`
}

// picture is one image of an entry.
type picture struct {
	File string `json:"file"` // in images/
	As   string `json:"as"`   // how it is broken: cut (half of File), bomb, junk
	URL  string `json:"url"`
	Alt  string `json:"alt"`
}

// first is when the first post was written; a post follows every 37 s.
var first = time.Date(2026, time.September, 1, 7, 0, 0, 0, time.UTC)

// Posts returns all messages in the order in which to produce them, the same
// bytes each time.
func Posts() ([]Message, error) {
	lines := json.NewDecoder(bytes.NewReader(posts))
	lines.DisallowUnknownFields()
	var messages []Message
	for {
		var e entry
		err := lines.Decode(&e)
		if err == io.EOF { //nolint:errorlint // the decoder returns it bare
			return messages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("posts.jsonl, after %d posts: %w", len(messages), err)
		}
		m, err := e.message(first.Add(time.Duration(len(messages)) * 37 * time.Second))
		if err != nil {
			return nil, fmt.Errorf("posts.jsonl, post %s: %w", e.ID, err)
		}
		messages = append(messages, m)
	}
}

func (e *entry) message(at time.Time) (Message, error) {
	p := schemas.Post{
		Schema: schemas.PostSchema, Source: "demo", Op: e.Op, PostID: e.ID, AuthorID: e.Author,
		CreatedAt: &at, Text: e.Text, Langs: e.Langs,
	}
	m := Message{Name: e.ID, Key: []byte(e.ID), Expected: e.Expected, Outcome: Result}
	if e.Op == schemas.OpDelete {
		m.Outcome = Tombstone
	}
	broken := 0
	for _, pic := range e.Images {
		data, err := pic.bytes()
		if err != nil {
			return m, err
		}
		if pic.As != "" || pic.URL != "" {
			broken++
		}
		p.Media = append(p.Media, schemas.Media{Data: data, URL: pic.URL, Alt: pic.Alt})
	}
	if broken > 0 && broken == len(e.Images) {
		m.Outcome = DeadLetter
	}
	if e.Fault != "" {
		m.Outcome = DeadLetter
	}
	if e.Fault == "schema" {
		p.Schema = "post.v9"
	}
	value, err := json.Marshal(p)
	if err != nil {
		return m, fmt.Errorf("encode: %w", err)
	}
	switch e.Fault {
	case "", "schema":
		m.Value = value
	case "cut_json":
		m.Value = value[:len(value)/2]
	default:
		return m, fmt.Errorf("fault %q: cut_json and schema are known", e.Fault)
	}
	return m, nil
}

func (p *picture) bytes() ([]byte, error) {
	var data []byte
	if p.File != "" {
		var err error
		if data, err = images.ReadFile(path.Join("images", p.File)); err != nil {
			return nil, fmt.Errorf("read image: %w", err)
		}
	}
	switch p.As {
	case "":
		return data, nil
	case "cut":
		return data[:len(data)/2], nil
	case "bomb":
		return bomb()
	case "junk":
		return []byte("<html><body>Please log in to see this picture.</body></html>"), nil
	}
	return nil, fmt.Errorf("an image as %q: cut, bomb and junk are known", p.As)
}
