package decode

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/decode/internal/jsonscan"
)

// post is one decoded message before it goes into the columns. Its strings
// may be the message's own bytes.
type post struct {
	source, id, author, text, parent, uri, version, license string

	op        schemas.Op
	createdAt moment
	langs     []string
	optOuts   []string
	sensitive *bool
	images    []image
	dropped   int // images beyond MaxImages: counted, so that millions of empty ones take no memory
}

// moment is a time, if there is one.
type moment struct {
	us    int64 // microseconds since 1970
	given bool
}

// image is one image of a post: a span of the image column, a URL, or
// neither.
type image struct {
	index    int
	url, alt string
	inline   bool
	end      int // of its bytes in the image column
}

// fault is the first thing found wrong with a message.
type fault struct {
	reason schemas.Reason
	detail string
}

func (f *fault) found() bool { return f.reason != "" }

func (f *fault) add(reason schemas.Reason, format string, args ...any) {
	if !f.found() {
		f.reason, f.detail = reason, fmt.Sprintf(format, args...)
	}
}

// merge takes over another fault unless there is one already.
func (f *fault) merge(other fault) {
	if !f.found() {
		*f = other
	}
}

// field names a field in a fault without costing anything before.
type field struct {
	in    string // the object that holds it, if not the message
	list  string // the list it is an element of, if any
	index int
	name  string
}

func (f field) String() string {
	switch {
	case f.in != "":
		return f.in + "." + field{list: f.list, index: f.index, name: f.name}.String()
	case f.list == "":
		return f.name
	case f.name == "":
		return f.list + "[" + strconv.Itoa(f.index) + "]"
	}
	return f.list + "[" + strconv.Itoa(f.index) + "]." + f.name
}

func named(name string) field { return field{name: name} }

// message reads records' values, one after the other. Which shape it has may show only at its
// end, so members of all shapes are read as they come and faults in them wait
// until the shape is known: a field may well have another type in a schema
// that we don't read.
type message struct {
	cfg    *Config
	scan   jsonscan.Scanner
	images *imageColumn
	lists  []string // what the value's lists of strings hold

	content
}

// content is what a value has held so far.
type content struct {
	member string // the top-level member being read, for faults
	native native
	event  event
}

// read decodes one value; the post is good until the next. The bytes of inline
// images are left at the end of the image column, and none when there is a fault.
func (m *message) read(value []byte) (post, fault) {
	begin := m.images.len()
	p, f := m.readPost(value)
	if f.found() || len(p.images) == 0 {
		m.images.truncate(begin)
	}
	return p, f
}

func (m *message) readPost(value []byte) (post, fault) {
	cfg := m.cfg
	if len(value) > cfg.MaxMessageBytes {
		return post{}, fault{schemas.ReasonTooLarge, fmt.Sprintf("the message has %d bytes, more than %d", len(value), cfg.MaxMessageBytes)}
	}
	m.scan.Reset(value)
	m.lists, m.content = m.lists[:0], content{}
	begin := m.images.len()
	kind := m.scan.Kind()
	if kind == jsonscan.Object {
		m.members()
	} else {
		m.scan.Skip()
	}
	m.scan.End()
	switch err := m.scan.Err(); {
	case err != nil && m.member != "":
		return post{}, fault{schemas.ReasonMalformed, fmt.Sprintf("%v (in %s)", err, m.member)}
	case err != nil:
		return post{}, fault{schemas.ReasonMalformed, err.Error()}
	case kind != jsonscan.Object:
		return post{}, fault{schemas.ReasonMalformed, fmt.Sprintf("want an object, found %v", kind)}
	}

	switch {
	case cfg.Format == FormatPost, cfg.Format == FormatAuto && m.native.schemaSeen:
		return m.native.post(cfg)
	case cfg.Format == FormatJetstream, m.event.seen:
		m.images.truncate(begin) // a stray member called media may have left bytes
		return m.event.post(cfg, begin)
	}
	return post{}, fault{schemas.ReasonSchemaUnknown, "neither a schema field nor a Jetstream event"}
}

func (m *message) members() {
	for name := range m.scan.Object() {
		switch {
		case m.cfg.Format != FormatJetstream && m.nativeMember(string(name)):
		case m.cfg.Format != FormatPost && m.eventMember(string(name)):
		default:
			m.scan.Skip()
		}
		if m.scan.Err() == nil {
			m.member = ""
		}
	}
}

// is reports whether the next value has the kind wanted; if not, it consumes
// the value, and unless that is null, records a fault.
func (m *message) is(f *fault, where field, want jsonscan.Kind) bool {
	got := m.scan.Kind()
	if got == want {
		return true
	}
	if got != jsonscan.Null {
		f.add(schemas.ReasonMalformed, "%v: want %v, found %v at byte %d", where, want, got, m.scan.Offset())
	}
	m.scan.Skip()
	return false
}

// str reads a string of at most limit bytes, "" where it is absent.
func (m *message) str(f *fault, where field, limit int) string {
	if !m.is(f, where, jsonscan.String) {
		return ""
	}
	text := m.scan.String()
	if len(text) > limit {
		f.add(schemas.ReasonTooLarge, "%v: %d bytes, more than %d", where, len(text), limit)
		return ""
	}
	return text
}

// strings reads a list of strings: at most count of at most limit bytes each.
func (m *message) strings(f *fault, list field, count, limit int) []string {
	if !m.is(f, list, jsonscan.Array) {
		return nil
	}
	from := len(m.lists)
	for i := range m.scan.Array() {
		if i >= count {
			if i == count {
				f.add(schemas.ReasonTooLarge, "%v: more than %d", list, count)
			}
			m.scan.Skip()
			continue
		}
		where := field{in: list.in, list: list.name, index: i}
		if m.scan.Kind() == jsonscan.Null {
			f.add(schemas.ReasonMalformed, "%v: want a string, found null at byte %d", where, m.scan.Offset())
		}
		m.lists = append(m.lists, m.str(f, where, limit))
	}
	if len(m.lists) == from {
		return nil
	}
	return m.lists[from:len(m.lists):len(m.lists)]
}

// checkSizes records what a post has too much of.
func (p *post) checkSizes(cfg *Config, f *fault) {
	if p.dropped > 0 {
		f.add(schemas.ReasonTooLarge, "%d images, more than %d", len(p.images)+p.dropped, cfg.MaxImages)
	}
	size := len(p.text)
	for _, img := range p.images {
		size += len(img.alt)
	}
	if size > cfg.MaxTextBytes {
		f.add(schemas.ReasonTooLarge, "text and alternative texts have %d bytes, more than %d", size, cfg.MaxTextBytes)
	}
}

// parseTime reads a time. A year that has four digits only in its own zone has
// no spelling in UTC: no result could say it.
func parseTime(text string) moment {
	t, err := time.Parse(time.RFC3339Nano, text)
	if year := t.UTC().Year(); err != nil || year < 0 || year > 9999 {
		return moment{}
	}
	return moment{t.UnixMicro(), true}
}

// tombstone decodes a record without a value: its key is the id of the post
// to delete.
func tombstone(key []byte) (post, fault) {
	var f fault
	switch {
	case len(key) == 0:
		f.add(schemas.ReasonMalformed, "a record without value and key names no post to delete")
	case len(key) > maxID:
		f.add(schemas.ReasonTooLarge, "key: %d bytes, more than %d", len(key), maxID)
	case !utf8.Valid(key):
		f.add(schemas.ReasonMalformed, "key: invalid UTF-8")
	default:
		for i, c := range key {
			if c == 0 {
				f.add(schemas.ReasonMalformed, "key: byte %d: the character U+0000", i)
				break
			}
		}
	}
	return post{op: schemas.OpDelete, id: string(key)}, f
}
