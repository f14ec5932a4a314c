package schemas

import "time"

// Collected is one pair chosen for the data set, collected.v1: a record of the
// collected topic, keyed by post id. The image's bytes lie in the image store,
// under their digest.
type Collected struct {
	Schema   string `json:"schema" jsonschema:"enum=collected.v1"`
	ResultID string `json:"result_id" jsonschema:"minLength=1" jsonschema_description:"of the result that holds the pair"`
	Pair     int    `json:"pair" jsonschema:"minimum=0" jsonschema_description:"index of the pair's image in its post"`

	PostID    string    `json:"post_id" jsonschema:"minLength=1"`
	Source    string    `json:"source,omitempty"`
	AuthorID  string    `json:"author,omitempty" jsonschema_description:"keyed hash of the author's id, as in results; absent unless the operator asks for it"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Langs     []string  `json:"langs,omitempty"`
	Sensitive *bool     `json:"sensitive,omitempty"`
	Text      string    `json:"text"`
	Alt       string    `json:"alt,omitempty"`
	URI       string    `json:"uri,omitempty"`
	License   string    `json:"license,omitempty"`
	OptOuts   []string  `json:"opt_outs,omitempty"`

	Image CollectedImage `json:"image"`

	Relation          string             `json:"relation" jsonschema:"enum=neither,enum=image_adds,enum=text_represented,enum=both"`
	Scores            [Relations]float64 `json:"scores" jsonschema_description:"calibrated probabilities of neither, image_adds, text_represented and both"`
	TextIsRepresented float64            `json:"text_is_represented" jsonschema:"minimum=0,maximum=1"`
	ImageAdds         float64            `json:"image_adds" jsonschema:"minimum=0,maximum=1"`
	Similarity        float64            `json:"similarity" jsonschema:"minimum=-1,maximum=1"`
	Cluster           *string            `json:"cluster,omitempty"`
	Novel             *bool              `json:"novel,omitempty"`

	Selected Selected `json:"selected"`

	Model        ModelRef  `json:"model"`
	ConfigDigest string    `json:"config_digest"`
	Input        Input     `json:"input"`
	CollectedAt  time.Time `json:"collected_at"`
}

// CollectedImage says which image, and where it came from.
type CollectedImage struct {
	Digest string `json:"digest" jsonschema:"pattern=^[0-9a-f]{64}$" jsonschema_description:"SHA-256 of the encoded image, its name in the image store"`
	Bytes  int64  `json:"bytes" jsonschema:"minimum=1" jsonschema_description:"length of the encoded image"`
	MIME   string `json:"mime" jsonschema:"enum=image/jpeg,enum=image/png,enum=image/webp,enum=image/gif"`
	URL    string `json:"url,omitempty"`
}

// Selected says why a pair is in the data set, and how likely it was to be:
// whoever estimates something over the whole stream weighs it by
// 1/probability.
type Selected struct {
	Reason      string  `json:"reason" jsonschema_description:"what counted most: rule:<name>, novel, low_confidence or rate"`
	Probability float64 `json:"probability" jsonschema:"exclusiveMinimum=0,maximum=1" jsonschema_description:"of being selected"`
}

// Takedown asks the data set to forget a post or an author, takedown.v1: a
// record of the collected topic. That of a post bears its id as key, so that it comes
// behind the post's own pairs; that of an author goes to every partition.
type Takedown struct {
	Schema   string `json:"schema" jsonschema:"enum=takedown.v1"`
	PostID   string `json:"post_id,omitempty" jsonschema:"oneof_required=post,minLength=1"`
	AuthorID string `json:"author,omitempty" jsonschema:"oneof_required=author,minLength=1" jsonschema_description:"keyed hash of the author's id, as in results"`
	// Media removes the images even where other posts refer to them.
	Media       bool      `json:"media,omitempty"`
	RequestedAt time.Time `json:"requested_at"`
}
