package schemas

import "time"

// Versions of the shapes on the wire.
const (
	PostSchema      = "post.v1"
	ResultSchema    = "result.v1"
	ClusterSchema   = "cluster.v1"
	CollectedSchema = "collected.v1"
	TakedownSchema  = "takedown.v1"
)

// Op is what a message does to its post.
type Op string

// Operations.
const (
	OpCreate Op = "create"
	OpUpdate Op = "update"
	OpDelete Op = "delete"
)

// Post is the native input, post.v1: one JSON object a Kafka record. A field
// that is null counts as absent; fields that are not listed are ignored, so
// that producers may be newer than we are. A delete needs only post_id.
type Post struct {
	Schema     string      `json:"schema" jsonschema:"enum=post.v1"`
	Source     string      `json:"source,omitempty" jsonschema:"nullable" jsonschema_description:"where the post comes from: bluesky, reddit, …"`
	Op         Op          `json:"op,omitempty" jsonschema:"nullable,enum=create,enum=update,enum=delete,default=create"`
	PostID     string      `json:"post_id" jsonschema:"minLength=1"`
	AuthorID   string      `json:"author_id,omitempty" jsonschema:"nullable"`
	CreatedAt  *time.Time  `json:"created_at,omitempty" jsonschema:"nullable"`
	Text       string      `json:"text,omitempty" jsonschema:"nullable"`
	Langs      []string    `json:"langs,omitempty" jsonschema:"nullable" jsonschema_description:"BCP 47 tags"`
	Sensitive  *bool       `json:"sensitive,omitempty" jsonschema:"nullable"`
	ParentID   string      `json:"parent_id,omitempty" jsonschema:"nullable"`
	License    string      `json:"license,omitempty" jsonschema:"nullable" jsonschema_description:"under which text and images are published: an SPDX identifier or a URL"`
	OptOuts    []string    `json:"opt_outs,omitempty" jsonschema:"nullable" jsonschema_description:"uses that the author reserves: noai, noimageai, tdm, …; any of them keeps the post out of the data set"`
	Media      []Media     `json:"media,omitempty" jsonschema:"nullable"`
	Provenance *Provenance `json:"provenance,omitempty" jsonschema:"nullable"`
}

// Media is one image of a post: inline bytes, or a URL to fetch.
type Media struct {
	Kind string `json:"kind,omitempty" jsonschema:"nullable,enum=image,enum=video,enum=audio,default=image" jsonschema_description:"only images become pairs"`
	Data []byte `json:"data,omitempty" jsonschema:"nullable" jsonschema_description:"the encoded image, base64"`
	URL  string `json:"url,omitempty" jsonschema:"nullable,format=uri"`
	Alt  string `json:"alt,omitempty" jsonschema:"nullable"`
}

// Provenance is what the source says about a post's origin.
type Provenance struct {
	URI     string `json:"uri,omitempty" jsonschema:"nullable" jsonschema_description:"where the post lives"`
	Version string `json:"version,omitempty" jsonschema:"nullable" jsonschema_description:"the source's own version of the post: a CID, an edit time"`
}
