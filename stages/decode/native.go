package decode

import (
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/decode/internal/jsonscan"
)

// native holds the members of a post.v1 as they are read.
type native struct {
	p          post
	schemaSeen bool
	schema     string
	version    fault // in the schema field
	identity   fault // in what even a delete needs
	body       fault // in the rest
}

// nativeMember reads a member of post.v1, and reports whether it is one.
func (m *message) nativeMember(name string) bool {
	n := &m.native
	switch name {
	case "schema":
		m.member, n.schemaSeen = "schema", true
		n.schema = m.str(&n.version, named("schema"), maxID)
	case "op":
		m.member = "op"
		n.p.op = schemas.Op(m.str(&n.identity, named("op"), maxID))
	case "post_id":
		m.member = "post_id"
		n.p.id = m.str(&n.identity, named("post_id"), maxID)
	case "source":
		m.member = "source"
		n.p.source = m.str(&n.body, named("source"), maxID)
	case "author_id":
		m.member = "author_id"
		n.p.author = m.str(&n.body, named("author_id"), maxID)
	case "parent_id":
		m.member = "parent_id"
		n.p.parent = m.str(&n.body, named("parent_id"), maxID)
	case "created_at":
		m.member = "created_at"
		n.p.createdAt = m.createdAt(&n.body)
	case "text":
		m.member = "text"
		n.p.text = m.str(&n.body, named("text"), m.cfg.MaxTextBytes)
	case "langs":
		m.member = "langs"
		n.p.langs = m.strings(&n.body, named("langs"), maxLangs, maxLang)
	case "sensitive":
		m.member = "sensitive"
		if m.is(&n.body, named("sensitive"), jsonscan.Bool) {
			v := m.scan.Bool()
			n.p.sensitive = &v
		}
	case "license":
		m.member = "license"
		n.p.license = m.str(&n.body, named("license"), maxID)
	case "opt_outs":
		m.member = "opt_outs"
		n.p.optOuts = m.strings(&n.body, named("opt_outs"), maxOptOuts, maxOptOut)
	case "media":
		m.member = "media"
		m.media(n)
	case "provenance":
		m.member = "provenance"
		m.provenance(n)
	default:
		return false
	}
	return true
}

// post concludes what was read. The schema comes first: a field of another
// version may well have another type.
func (n *native) post(cfg *Config) (post, fault) {
	f := n.version
	switch {
	case f.found():
	case !n.schemaSeen || n.schema == "":
		f.add(schemas.ReasonSchemaUnknown, "schema: absent, want %q", schemas.PostSchema)
	case n.schema != schemas.PostSchema:
		f.add(schemas.ReasonSchemaUnknown, "schema:%s is not %q", quoted(n.schema), schemas.PostSchema)
	}
	f.merge(n.identity)
	if n.p.op == "" {
		n.p.op = schemas.OpCreate
	}
	switch n.p.op {
	case schemas.OpCreate, schemas.OpUpdate, schemas.OpDelete:
	default:
		f.add(schemas.ReasonMalformed, "op:%s is not create, update or delete", quoted(string(n.p.op)))
	}
	if n.p.id == "" {
		f.add(schemas.ReasonMalformed, "post_id: absent or empty")
	}
	if n.p.op == schemas.OpDelete {
		return post{op: schemas.OpDelete, id: n.p.id, source: n.p.source, author: n.p.author}, f
	}
	f.merge(n.body)
	n.p.checkSizes(cfg, &f)
	return n.p, f
}

func (m *message) createdAt(f *fault) moment {
	if !m.is(f, named("created_at"), jsonscan.String) {
		return moment{}
	}
	at := m.scan.Offset()
	t := parseTime(m.scan.String())
	if !t.given {
		f.add(schemas.ReasonMalformed, "created_at: not an RFC 3339 time at byte %d", at)
	}
	return t
}

func (m *message) provenance(n *native) {
	if !m.is(&n.body, named("provenance"), jsonscan.Object) {
		return
	}
	for name := range m.scan.Object() {
		switch string(name) {
		case "uri":
			n.p.uri = m.str(&n.body, named("provenance.uri"), maxURI)
		case "version":
			n.p.version = m.str(&n.body, named("provenance.version"), maxID)
		default:
			m.scan.Skip()
		}
	}
}

func (m *message) media(n *native) {
	if !m.is(&n.body, named("media"), jsonscan.Array) {
		return
	}
	n.p.images, n.p.dropped = n.p.images[:0], 0
	for i := range m.scan.Array() {
		if m.scan.Kind() != jsonscan.Object {
			n.body.add(schemas.ReasonMalformed, "%v: want an object, found %v at byte %d",
				field{list: "media", index: i}, m.scan.Kind(), m.scan.Offset())
			m.scan.Skip()
			continue
		}
		m.medium(n, i)
	}
}

// medium reads one entry of media. Only images are kept; the index counts all
// entries, so that it points into the message.
func (m *message) medium(n *native, index int) {
	img := image{index: index}
	kind := "image"
	begin := m.images.len()
	var data bool
	var size fault // of the bytes, which matter only when they are an image
	where := func(name string) field { return field{list: "media", index: index, name: name} }

	for name := range m.scan.Object() {
		switch string(name) {
		case "kind":
			if k := m.str(&n.body, where("kind"), maxID); k != "" {
				kind = k
			}
		case "alt":
			img.alt = m.str(&n.body, where("alt"), m.cfg.MaxTextBytes)
		case "data":
			if m.empty() {
				continue
			}
			// Bytes that a data URL brought before are not the ones to use.
			m.images.truncate(begin)
			data = m.base64(&size, where("data"))
		case "url":
			var inline bool
			img.url, inline = m.url(&size, where("url"), !data)
			data = data || inline
		default:
			m.scan.Skip()
		}
	}
	if kind != "image" {
		m.images.truncate(begin)
		return
	}
	n.body.merge(size)
	if len(n.p.images) == m.cfg.MaxImages {
		m.images.truncate(begin)
		n.p.dropped++
		return
	}
	// A result must not name a URL whose bytes were not what was judged.
	if img.inline = data; data {
		img.url = ""
	}
	img.end = m.images.len()
	n.p.images = append(n.p.images, img)
}

// quoted returns a value for a fault when it cannot be anybody's text.
func quoted(s string) string { return jsonscan.Quotable([]byte(s)) }
