package decode

import (
	"regexp"
	"strings"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/decode/internal/jsonscan"
)

const (
	blueskySource  = "bluesky"
	postCollection = "app.bsky.feed.post"
	eventsV2       = "network.bsky.jetstream.subscribeEvents#"
)

// Identifiers of the AT Protocol, no wider than they must be: they become
// post ids and parts of URLs.
var (
	didSyntax  = regexp.MustCompile(`^did:[a-z]+:[a-zA-Z0-9._:%-]+$`)
	rkeySyntax = regexp.MustCompile(`^[a-zA-Z0-9._:~-]{1,512}$`)
	cidSyntax  = regexp.MustCompile(`^[a-zA-Z0-9]{1,128}$`)
)

// event holds the members of a Jetstream event as they are read. A legacy
// event wraps its commit in commit, a v2 event everything in payload; inside,
// members have the same names.
type event struct {
	seen       bool
	kind       string // legacy: commit, account, …
	frame      string // v2: message, error
	fragment   string // v2: the payload's type
	did        string
	operation  string
	collection string
	rkey       string
	cid        string
	wrapper    string // commit or payload
	record     record

	identity fault // in what even a delete needs
	body     fault // in the rest
}

// eventMember reads a member of a Jetstream event, and reports whether it is
// one.
func (m *message) eventMember(name string) bool {
	e := &m.event
	switch name {
	case "did":
		m.member, e.seen = "did", true
		e.did = m.str(&e.identity, named("did"), maxID)
	case "kind":
		m.member, e.seen = "kind", true
		e.kind = m.str(&e.identity, named("kind"), maxID)
	case "$type":
		m.member, e.seen = "$type", true
		e.frame = m.str(&e.identity, named("$type"), maxID)
	case "commit":
		m.member, e.wrapper = "commit", "commit"
		m.commit()
	case "payload":
		m.member, e.wrapper = "payload", "payload"
		m.commit()
	default:
		return false
	}
	return true
}

// commit reads a legacy commit or a v2 payload.
func (m *message) commit() {
	e := &m.event
	if !m.is(&e.identity, named(e.wrapper), jsonscan.Object) {
		return
	}
	for name := range m.scan.Object() {
		where := field{in: e.wrapper}
		switch string(name) {
		case "$type":
			where.name = "$type"
			e.fragment = m.str(&e.identity, where, maxID)
		case "did":
			where.name = "did"
			e.did = m.str(&e.identity, where, maxID)
		case "operation":
			where.name = "operation"
			e.operation = m.str(&e.identity, where, maxID)
		case "collection":
			where.name = "collection"
			e.collection = m.str(&e.identity, where, maxID)
		case "rkey":
			where.name = "rkey"
			e.rkey = m.str(&e.identity, where, maxID)
		case "cid":
			where.name = "cid"
			e.cid = m.str(&e.body, where, maxID)
		case "record":
			m.record(&e.record)
		default:
			m.scan.Skip()
		}
	}
}

// post concludes what was read. Images are fetched, so all of them end where
// the image column stands.
func (e *event) post(cfg *Config, end int) (post, fault) {
	f := e.identity
	if !f.found() {
		f = e.notAPost()
	}
	op := e.op(&f)
	if !didSyntax.MatchString(e.did) {
		f.add(schemas.ReasonMalformed, "did: absent or not a DID")
	}
	if !rkeySyntax.MatchString(e.rkey) {
		f.add(schemas.ReasonMalformed, "%s.rkey: absent or not a record key", e.wrapper)
	}
	uri := "at://" + e.did + "/" + e.collection + "/" + e.rkey
	if len(uri) > maxID {
		f.add(schemas.ReasonTooLarge, "the post's URI has %d bytes, more than %d", len(uri), maxID)
	}
	if op == schemas.OpDelete || f.found() {
		return post{op: op, id: uri, source: blueskySource, author: e.did}, f
	}

	f.merge(e.body)
	e.record.check(&f)
	p := post{
		source: blueskySource, op: op, id: uri, uri: uri, author: e.did, version: e.cid,
		text: e.record.text, createdAt: e.record.createdAt, langs: e.record.langs,
		sensitive: e.record.sensitive, parent: e.record.parent,
	}
	for _, blob := range e.record.embed.images {
		img := image{index: blob.index, alt: blob.alt, end: end}
		if blob.cid != "" {
			// The suffix matters: without it the CDN may choose a format that
			// changes from one day to the next, and so would the digest.
			img.url = strings.TrimSuffix(cfg.BlueskyCDN, "/") + "/feed_fullsize/plain/" + e.did + "/" + blob.cid + "@jpeg"
		}
		p.images = append(p.images, img)
	}
	p.dropped = e.record.embed.dropped
	p.checkSizes(cfg, &f)
	return p, f
}

// notAPost finds events that are none of our business, and shapes that are
// none of Jetstream's.
func (e *event) notAPost() fault {
	var f fault
	switch {
	case e.frame == "" && e.kind == "":
		f.add(schemas.ReasonSchemaUnknown, "a Jetstream event has a kind or a $type")
	case e.frame == "" && e.kind != "commit":
		f.add(schemas.ReasonNotAPost, "an event of kind%s", quoted(e.kind))
	case e.frame == "error":
		f.add(schemas.ReasonNotAPost, "an error of the stream")
	case e.frame != "" && (e.frame != "message" || !strings.HasPrefix(e.fragment, eventsV2)):
		f.add(schemas.ReasonSchemaUnknown, "$type:%s: not an event of Jetstream v2", quoted(e.frame))
	case e.frame != "" && e.fragment != eventsV2+"commit":
		f.add(schemas.ReasonNotAPost, "an event of kind%s", quoted(strings.TrimPrefix(e.fragment, eventsV2)))
	case e.collection == "":
		f.add(schemas.ReasonMalformed, "collection: absent")
	case e.collection != postCollection:
		f.add(schemas.ReasonNotAPost, "a record of collection%s", quoted(e.collection))
	}
	return f
}

func (e *event) op(f *fault) schemas.Op {
	switch op := schemas.Op(e.operation); op {
	case schemas.OpCreate, schemas.OpUpdate, schemas.OpDelete:
		return op
	}
	f.add(schemas.ReasonMalformed, "%s.operation:%s is not create, update or delete", e.wrapper, quoted(e.operation))
	return ""
}
