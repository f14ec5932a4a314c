package schemas

import "time"

// ResultStatus says what kind of outcome a result is.
type ResultStatus string

// Result statuses.
const (
	StatusLabelled ResultStatus = "labelled" // at least one pair has a relation
	StatusNoImage  ResultStatus = "no_image" // the post has no image: nothing to relate
)

// Result is the output, result.v1: one JSON object a post, keyed by post id.
type Result struct {
	Schema   string       `json:"schema" jsonschema:"enum=result.v1"`
	ResultID string       `json:"result_id" jsonschema_description:"SHA-256 of Kafka cluster id, topic, partition and offset of the input"`
	Status   ResultStatus `json:"status" jsonschema:"enum=labelled,enum=no_image"`

	Source    string    `json:"source"`
	Op        Op        `json:"op" jsonschema:"enum=create,enum=update"`
	PostID    string    `json:"post_id"`
	AuthorID  string    `json:"author_id,omitempty" jsonschema_description:"keyed hash of the author's id: hmac-sha256, the key's id and base64url, with colons between; absent unless the operator asks for it"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Text      string    `json:"text"`
	Langs     []string  `json:"langs,omitempty"`
	Sensitive *bool     `json:"sensitive,omitempty"`
	ParentID  string    `json:"parent_id,omitempty"`
	URI       string    `json:"uri,omitempty"`
	Version   string    `json:"version,omitempty"`

	// Relation and Confidence are those of the most confident pair.
	Relation   string  `json:"relation,omitempty" jsonschema:"enum=neither,enum=image_adds,enum=text_represented,enum=both"`
	Confidence float64 `json:"confidence,omitempty" jsonschema:"minimum=0,maximum=1"`
	Pairs      []Pair  `json:"pairs"`

	Decisions []Decision `json:"decisions,omitempty"`

	Model        ModelRef `json:"model"`
	ConfigDigest string   `json:"config_digest"`
	Input        Input    `json:"input"`
	Timings      Millis   `json:"timings_ms"`
}

// Pair is one image of a result with its relation to the post's text, or the
// reason why it has none.
type Pair struct {
	Index  int    `json:"index"`
	URL    string `json:"url,omitempty"`
	Alt    string `json:"alt,omitempty"`
	Digest string `json:"digest,omitempty" jsonschema_description:"SHA-256 of the encoded image"`

	Relation          string   `json:"relation,omitempty" jsonschema:"enum=neither,enum=image_adds,enum=text_represented,enum=both"`
	Confidence        float64  `json:"confidence,omitempty" jsonschema:"minimum=0,maximum=1"`
	Scores            *Scores  `json:"scores,omitempty"`
	TextIsRepresented *float64 `json:"text_is_represented,omitempty" jsonschema:"minimum=0,maximum=1"`
	ImageAdds         *float64 `json:"image_adds,omitempty" jsonschema:"minimum=0,maximum=1"`
	Similarity        *float64 `json:"similarity,omitempty" jsonschema:"minimum=-1,maximum=1"`

	Cluster         *string       `json:"cluster" jsonschema:"nullable" jsonschema_description:"public cluster id; null while bootstrapping"`
	ClusterStatus   ClusterStatus `json:"cluster_status,omitempty" jsonschema:"enum=assigned,enum=bootstrapping,enum=reassigned"`
	Distance        *float64      `json:"distance,omitempty" jsonschema_description:"squared distance to the centroid"`
	Novel           *bool         `json:"novel,omitempty" jsonschema_description:"far outside its cluster"`
	CentroidVersion *int64        `json:"centroid_version,omitempty"`

	Failure Reason `json:"failure,omitempty" jsonschema_description:"why this pair has no relation"`
	Detail  string `json:"failure_detail,omitempty"`
}

// Scores are the calibrated probabilities of the four relations.
type Scores struct {
	Neither         float64 `json:"neither" jsonschema:"minimum=0,maximum=1"`
	ImageAdds       float64 `json:"image_adds" jsonschema:"minimum=0,maximum=1"`
	TextRepresented float64 `json:"text_represented" jsonschema:"minimum=0,maximum=1"`
	Both            float64 `json:"both" jsonschema:"minimum=0,maximum=1"`
}

// Decision is what a rule concluded about a result.
type Decision struct {
	Rule  string `json:"rule"`
	Topic string `json:"topic,omitempty" jsonschema_description:"where the rule sends the result"`
	Error string `json:"error,omitempty" jsonschema_description:"the rule could not be evaluated on this result"`
}

// ModelRef names the bundle that labelled.
type ModelRef struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Digest  string `json:"digest" jsonschema_description:"SHA-256 of the bundle's manifest"`
}

// Input is where a result comes from.
type Input struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time" jsonschema_description:"timestamp of the input record"`
}

// Millis are the durations of the stages for the batch that held the post, in
// milliseconds, and the whole time since it was fetched.
type Millis struct {
	Decode  float64 `json:"decode"`
	Media   float64 `json:"media"`
	Infer   float64 `json:"infer"`
	Cluster float64 `json:"cluster"`
	Total   float64 `json:"total"`
}
