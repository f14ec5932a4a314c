package decode

import (
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/decode/internal/jsonscan"
)

const (
	embedImages          = "app.bsky.embed.images"
	embedGallery         = "app.bsky.embed.gallery"
	embedGalleryImage    = "app.bsky.embed.gallery#image"
	embedRecordWithMedia = "app.bsky.embed.recordWithMedia"
)

// sensitiveLabels are the self-labels by which authors mark content as
// sensitive. Others, such as the wish not to be shown to strangers, say
// nothing about it.
var sensitiveLabels = map[string]bool{
	"porn": true, "sexual": true, "nudity": true, "graphic-media": true, "gore": true, "nsfl": true,
}

// record holds the members of an app.bsky.feed.post as they are read.
type record struct {
	seen, textSeen bool
	typ            string
	text, parent   string
	createdAt      moment
	langs          []string
	sensitive      *bool
	embed          embed
	fault          fault
}

// embed is what a post embeds: images, or something without any.
type embed struct {
	typ     string
	images  []blob
	dropped int   // images beyond MaxImages
	fault   fault // matters only when the embed turns out to hold images
}

// blob is an image in its author's repository.
type blob struct {
	index    int
	typ      string
	cid, alt string
}

// in names a field of the record.
func in(name string) field { return field{in: "record", name: name} }

func (m *message) record(r *record) {
	if !m.is(&r.fault, named("record"), jsonscan.Object) {
		return
	}
	r.seen = true
	for name := range m.scan.Object() {
		switch string(name) {
		case "$type":
			r.typ = m.str(&r.fault, in("$type"), maxID)
		case "text":
			r.textSeen = m.scan.Kind() != jsonscan.Null
			r.text = m.str(&r.fault, in("text"), m.cfg.MaxTextBytes)
		case "createdAt":
			// The author's own clock, which nobody verifies: what cannot be
			// read is left out.
			if t := parseTime(m.str(&r.fault, in("createdAt"), maxID)); t.given {
				r.createdAt = t
			}
		case "langs":
			r.langs = m.strings(&r.fault, in("langs"), maxLangs, maxLang)
		case "labels":
			m.selfLabels(r)
		case "reply":
			m.reply(r)
		case "embed":
			m.embed(&r.embed, false)
		default:
			m.scan.Skip()
		}
	}
}

func (r *record) check(f *fault) {
	if !r.seen {
		f.merge(r.fault)
		f.add(schemas.ReasonMalformed, "record: absent")
		return
	}
	if r.typ != "" && r.typ != postCollection {
		f.add(schemas.ReasonMalformed, "record.$type:%s is not %q", quoted(r.typ), postCollection)
	}
	f.merge(r.fault)
	if !r.textSeen {
		f.add(schemas.ReasonMalformed, "record.text: absent")
	}
	f.merge(r.embed.fault)
	for _, b := range r.embed.images {
		if b.cid != "" && !cidSyntax.MatchString(b.cid) {
			f.add(schemas.ReasonMalformed, "%v: not a CID", field{in: "record.embed", list: "images", index: b.index})
		}
	}
}

func (m *message) selfLabels(r *record) {
	if !m.is(&r.fault, in("labels"), jsonscan.Object) {
		return
	}
	for name := range m.scan.Object() {
		if string(name) != "values" || !m.is(&r.fault, in("labels.values"), jsonscan.Array) {
			if string(name) != "values" {
				m.scan.Skip()
			}
			continue
		}
		for i := range m.scan.Array() {
			where := field{in: "record.labels", list: "values", index: i}
			if !m.is(&r.fault, where, jsonscan.Object) {
				continue
			}
			for name := range m.scan.Object() {
				if string(name) != "val" {
					m.scan.Skip()
					continue
				}
				where.name = "val"
				if sensitiveLabels[m.str(&r.fault, where, maxID)] {
					yes := true
					r.sensitive = &yes
				}
			}
		}
	}
}

func (m *message) reply(r *record) {
	if !m.is(&r.fault, in("reply"), jsonscan.Object) {
		return
	}
	for name := range m.scan.Object() {
		if string(name) != "parent" {
			m.scan.Skip()
			continue
		}
		if !m.is(&r.fault, in("reply.parent"), jsonscan.Object) {
			continue
		}
		for name := range m.scan.Object() {
			if string(name) != "uri" {
				m.scan.Skip()
				continue
			}
			r.parent = m.str(&r.fault, in("reply.parent.uri"), maxID)
		}
	}
}

// embed reads an embed, or with inner the media beside a quoted post. Its
// type may come last, so whatever looks like images is read, and dropped when
// the type has none.
func (m *message) embed(e *embed, inner bool) {
	if !m.is(&e.fault, in("embed"), jsonscan.Object) {
		return
	}
	var media embed
	for name := range m.scan.Object() {
		switch string(name) {
		case "$type":
			e.typ = m.str(&e.fault, in("embed.$type"), maxID)
		case "images", "items":
			m.blobs(e)
		case "media":
			if inner {
				m.scan.Skip()
				continue
			}
			m.embed(&media, true)
		default:
			m.scan.Skip()
		}
	}
	switch e.typ {
	case embedImages, embedGallery:
	case embedRecordWithMedia:
		*e = media
	default:
		*e = embed{}
	}
}

func (m *message) blobs(e *embed) {
	where := field{in: "record.embed", name: "images"}
	if !m.is(&e.fault, where, jsonscan.Array) {
		return
	}
	e.images, e.dropped = e.images[:0], 0
	for i := range m.scan.Array() {
		b := blob{index: i}
		var f fault // matters only when this is an image
		where := field{in: "record.embed", list: "images", index: i}
		if !m.is(&e.fault, where, jsonscan.Object) {
			continue
		}
		for name := range m.scan.Object() {
			switch string(name) {
			case "$type":
				where.name = "$type"
				b.typ = m.str(&f, where, maxID)
			case "alt":
				where.name = "alt"
				b.alt = m.str(&f, where, m.cfg.MaxTextBytes)
			case "image":
				where.name = "image"
				m.blob(&b, &f, where)
			default:
				m.scan.Skip()
			}
		}
		if b.typ != "" && b.typ != embedGalleryImage {
			continue
		}
		e.fault.merge(f)
		if len(e.images) == m.cfg.MaxImages {
			e.dropped++
			continue
		}
		e.images = append(e.images, b)
	}
}

// blob reads a blob reference: today's, or the one of old records, which is
// just a CID with its media type.
func (m *message) blob(b *blob, f *fault, where field) {
	if !m.is(f, where, jsonscan.Object) {
		return
	}
	for name := range m.scan.Object() {
		switch string(name) {
		case "cid":
			where.name = "image.cid"
			b.cid = m.str(f, where, maxID)
		case "ref":
			where.name = "image.ref"
			if !m.is(f, where, jsonscan.Object) {
				continue
			}
			for name := range m.scan.Object() {
				if string(name) != "$link" {
					m.scan.Skip()
					continue
				}
				where.name = "image.ref.$link"
				b.cid = m.str(f, where, maxID)
			}
		default:
			m.scan.Skip()
		}
	}
}
