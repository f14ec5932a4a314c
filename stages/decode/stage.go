package decode

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/schemas"
)

const stageName = "decode"

// Settings are what the wiring gives the stage.
type Settings struct {
	Alloc memory.Allocator
	// Author is what a post calls its author from here on: a keyed hash, or
	// nothing. The id itself stays in the input record. nil keeps it.
	Author func(id string) string
	// Address is the same for post ids and URIs, which may hold their
	// author's id. nil keeps them.
	Address func(address string) string
}

// Stage adds PostFields to a batch and makes its table of pairs. It is safe
// for concurrent use.
type Stage struct {
	cfg      Config
	settings Settings
}

// New checks the configuration.
func New(cfg Config, settings Settings) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return &Stage{cfg: cfg, settings: settings}, nil
}

// rename takes its author's id out of a post.
func (s *Stage) rename(p *post) {
	if s.settings.Author != nil {
		p.author = s.settings.Author(p.author)
	}
	if address := s.settings.Address; address != nil {
		p.id, p.uri, p.parent = address(p.id), address(p.uri), address(p.parent)
	}
}

// Process decodes every record of the batch. A record that is no post becomes
// a reject; the only error is that of ctx.
func (s *Stage) Process(ctx context.Context, b *schemas.Batch) error {
	values := schemas.Col[*array.Binary](b.Posts(), schemas.RecordValue)
	keys := schemas.Col[*array.Binary](b.Posts(), schemas.RecordKey)
	out := newColumns(s.settings.Alloc, values.Len())
	defer out.release()
	rejects := make(map[int]fault)
	m := &message{cfg: &s.cfg, images: out.images}

	for row := range values.Len() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		var p post
		var f fault
		switch key := keys.Value(row); {
		case len(key) > maxKey:
			f.add(schemas.ReasonTooLarge, "key: %d bytes, more than %d", len(key), maxKey)
		case values.IsNull(row):
			p, f = tombstone(key)
		default:
			out.images.expect = (len(values.ValueBytes()) - int(values.ValueOffset64(row)-values.ValueOffset64(0))) / 4 * 3
			p, f = m.read(values.Value(row))
		}
		if f.found() {
			rejects[row] = f
			out.appendNull()
			continue
		}
		s.rename(&p)
		out.append(row, &p)
	}

	posts, pairs := out.finish()
	b.AddPosts(out.fields, posts)
	b.SetPairs(pairs)
	for row, f := range rejects {
		b.Reject(row, schemas.Reject{Stage: stageName, Reason: f.reason, Detail: f.detail})
	}
	return nil
}

// columns builds what decode adds to a batch.
type columns struct {
	fields []arrow.Field
	posts  *array.RecordBuilder

	source, op, id, author, text, parent, uri, version, license *array.StringBuilder

	createdAt      *array.TimestampBuilder
	sensitive      *array.BooleanBuilder
	langs, optOuts *array.ListBuilder

	of     *array.Int32Builder
	index  *array.Int32Builder
	url    *array.StringBuilder
	alt    *array.StringBuilder
	images *imageColumn
}

// newColumns makes room for rows posts.
func newColumns(alloc memory.Allocator, rows int) *columns {
	fields := schemas.PostFields()
	c := &columns{
		fields: fields,
		posts:  array.NewRecordBuilder(alloc, arrow.NewSchema(fields, nil)),
		of:     array.NewInt32Builder(alloc),
		index:  array.NewInt32Builder(alloc),
		url:    array.NewStringBuilder(alloc),
		alt:    array.NewStringBuilder(alloc),
		images: newImageColumn(alloc),
	}
	c.posts.Reserve(rows)
	for name, b := range map[string]**array.StringBuilder{
		schemas.PostSource: &c.source, schemas.PostOp: &c.op, schemas.PostID: &c.id, schemas.PostAuthor: &c.author, schemas.PostText: &c.text,
		schemas.PostParent: &c.parent, schemas.PostURI: &c.uri, schemas.PostVersion: &c.version, schemas.PostLicense: &c.license,
	} {
		*b = builderOf[*array.StringBuilder](c.posts, name)
	}
	c.createdAt = builderOf[*array.TimestampBuilder](c.posts, schemas.PostCreatedAt)
	c.sensitive = builderOf[*array.BooleanBuilder](c.posts, schemas.PostSensitive)
	c.langs = builderOf[*array.ListBuilder](c.posts, schemas.PostLangs)
	c.optOuts = builderOf[*array.ListBuilder](c.posts, schemas.PostOptOuts)
	return c
}

func builderOf[B array.Builder](posts *array.RecordBuilder, name string) B {
	return posts.Field(posts.Schema().FieldIndices(name)[0]).(B)
}

func (c *columns) release() {
	c.posts.Release()
	c.of.Release()
	c.index.Release()
	c.url.Release()
	c.alt.Release()
	c.images.release()
}

// appendNull adds a rejected row.
func (c *columns) appendNull() {
	for _, f := range c.posts.Fields() {
		f.AppendNull()
	}
}

func (c *columns) append(row int, p *post) {
	appendString(c.source, p.source)
	appendString(c.op, string(p.op))
	appendString(c.id, p.id)
	appendString(c.author, p.author)
	// Text may be empty, and only a delete has none.
	if p.op == schemas.OpDelete {
		c.text.AppendNull()
	} else {
		c.text.Append(p.text)
	}
	appendString(c.parent, p.parent)
	appendString(c.uri, p.uri)
	appendString(c.version, p.version)
	appendString(c.license, p.license)
	appendList(c.optOuts, p.optOuts)
	appendList(c.langs, p.langs)
	if p.createdAt.given {
		c.createdAt.Append(arrow.Timestamp(p.createdAt.us))
	} else {
		c.createdAt.AppendNull()
	}
	if p.sensitive == nil {
		c.sensitive.AppendNull()
	} else {
		c.sensitive.Append(*p.sensitive)
	}
	for _, img := range p.images {
		c.of.Append(int32(row))          //nolint:gosec // a batch has fewer rows
		c.index.Append(int32(img.index)) //nolint:gosec // bounded by the message's size
		appendString(c.url, img.url)
		appendString(c.alt, img.alt)
		c.images.append(img)
	}
}

// finish returns the new columns of posts, and the table of pairs.
func (c *columns) finish() ([]arrow.Array, arrow.Record) {
	rec := c.posts.NewRecord()
	defer rec.Release()
	posts := append([]arrow.Array(nil), rec.Columns()...)
	for _, col := range posts {
		col.Retain()
	}
	cols := []arrow.Array{c.of.NewArray(), c.index.NewArray(), c.url.NewArray(), c.images.array(), c.alt.NewArray()}
	pairs := array.NewRecord(arrow.NewSchema(schemas.PairFields(), nil), cols, int64(cols[0].Len()))
	for _, col := range cols {
		col.Release()
	}
	return posts, pairs
}

// appendString adds a field that is null where it is absent.
func appendString(b *array.StringBuilder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.Append(s)
}

func appendList(b *array.ListBuilder, values []string) {
	if values == nil {
		b.AppendNull()
		return
	}
	b.Append(true)
	for _, v := range values {
		b.ValueBuilder().(*array.StringBuilder).Append(v)
	}
}
