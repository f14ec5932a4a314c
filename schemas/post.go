package schemas

import "time"

// Versions of the shapes on the wire.
const (
	PostSchema    = "post.v1"
	ResultSchema  = "result.v1"
	ClusterSchema = "cluster.v1"
)

// Op is what a message does to its post.
type Op string

// Operations.
const (
	OpCreate Op = "create"
	OpUpdate Op = "update"
	OpDelete Op = "delete"
)

// Post is the native input, post.v1: one JSON object a Kafka record.
type Post struct {
	Schema     string      `json:"schema" jsonschema:"const=post.v1"`
	Source     string      `json:"source,omitempty" jsonschema_description:"where the post comes from: bluesky, reddit, …"`
	Op         Op          `json:"op,omitempty" jsonschema:"enum=create,enum=update,enum=delete,default=create"`
	PostID     string      `json:"post_id" jsonschema:"minLength=1"`
	AuthorID   string      `json:"author_id,omitempty"`
	CreatedAt  *time.Time  `json:"created_at,omitempty"`
	Text       string      `json:"text,omitempty"`
	Langs      []string    `json:"langs,omitempty" jsonschema_description:"BCP 47 tags"`
	Sensitive  *bool       `json:"sensitive,omitempty"`
	ParentID   string      `json:"parent_id,omitempty"`
	Media      []Media     `json:"media,omitempty"`
	Provenance *Provenance `json:"provenance,omitempty"`
}

// Media is one image of a post: inline bytes, or a URL to fetch.
type Media struct {
	Kind string `json:"kind,omitempty" jsonschema:"enum=image,enum=video,enum=audio,default=image" jsonschema_description:"only images become pairs"`
	Data []byte `json:"data,omitempty" jsonschema_description:"the encoded image, base64"`
	URL  string `json:"url,omitempty" jsonschema:"format=uri"`
	Alt  string `json:"alt,omitempty"`
}

// Provenance is what the source says about a post's origin.
type Provenance struct {
	URI     string `json:"uri,omitempty" jsonschema_description:"where the post lives"`
	Version string `json:"version,omitempty" jsonschema_description:"the source's own version of the post: a CID, an edit time"`
}
