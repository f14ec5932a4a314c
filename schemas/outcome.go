package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Reason is why a post is a dead letter or a pair has no relation: a closed
// set, used on the wire and as a metric label.
type Reason string

// Reasons a post is rejected by decode.
const (
	ReasonMalformed     Reason = "malformed"      // not the JSON, or not the fields, that its schema asks for
	ReasonSchemaUnknown Reason = "schema_unknown" // a schema or version we do not read
	ReasonTooLarge      Reason = "too_large"      // over the size limits of decode
	ReasonNotAPost      Reason = "not_a_post"     // well-formed, but about something else: an account, an identity, a like
	ReasonMediaFailed   Reason = "media_failed"   // every pair of the post failed; the detail says how
)

// Reasons a pair fails in media.
const (
	ReasonForbidden   Reason = "forbidden_address" // the URL leads to an address we must not reach
	ReasonUnreachable Reason = "unreachable"       // no answer in time, or an error status
	ReasonNotImage    Reason = "not_an_image"      // bytes of no format we read
	ReasonCorrupt     Reason = "corrupt"           // of a known format, but broken
	ReasonImageSize   Reason = "image_too_large"   // over the byte or pixel budget
	ReasonNoSource    Reason = "no_source"         // neither bytes nor a URL
)

// Reject says why a post became a dead letter.
type Reject struct {
	Stage  string // decode, media
	Reason Reason
	Detail string // for people; never post text
}

// Timings tell how long a batch spent, for Result.
type Timings struct {
	Decode, Media, Infer, Cluster time.Duration
}

// ResultID identifies the outcome of one input offset: the same for every
// delivery of it, on every machine.
func ResultID(clusterID string, p Partition, offset int64) string {
	b := make([]byte, 0, 512) // which is on the stack: no id and no topic is longer than 249 bytes
	for _, s := range []string{clusterID, p.Topic} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(p.ID))   //nolint:gosec // a bit pattern, not a number
	b = binary.BigEndian.AppendUint64(b, uint64(offset)) //nolint:gosec // a bit pattern, not a number
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// PairChecksum is a 64-bit mark of one pair of one input offset. Centroids
// add up the marks they have folded (wrapping), so that a sum over live and
// retired rows proves that each was folded once.
func PairChecksum(p Partition, offset int64, pair int32) uint64 {
	h := sha256.New()
	h.Write([]byte(p.Topic))
	var n [17]byte
	binary.BigEndian.PutUint32(n[1:5], uint32(p.ID))    //nolint:gosec // a bit pattern, not a number
	binary.BigEndian.PutUint64(n[5:13], uint64(offset)) //nolint:gosec // a bit pattern, not a number
	binary.BigEndian.PutUint32(n[13:], uint32(pair))    //nolint:gosec // a bit pattern, not a number
	h.Write(n[:])
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// ClusterStatus says how a pair got its cluster, or why it has none.
type ClusterStatus string

// Cluster statuses.
const (
	ClusterAssigned      ClusterStatus = "assigned"
	ClusterBootstrapping ClusterStatus = "bootstrapping" // no centroids yet: the pair is in the sample
	ClusterReassigned    ClusterStatus = "reassigned"    // folded before, assigned afresh: the record of it is gone
)

// ClusterEvent is one record of the clusters topic, keyed by cluster id.
type ClusterEvent struct {
	Schema  string `json:"schema" jsonschema:"enum=cluster.v1"`
	Type    string `json:"type" jsonschema:"enum=state,enum=born,enum=retired,enum=alarm"`
	Cluster string `json:"cluster" jsonschema_description:"public cluster id; never reused"`
	// Version is the centroids' version after the fold that caused the event.
	Version int64   `json:"version"`
	Size    float64 `json:"size,omitempty" jsonschema_description:"decayed weight, in pairs"`
	Count   uint64  `json:"count,omitempty" jsonschema_description:"pairs ever folded into it"`
	// Labels is the decayed share of each relation.
	Labels          *Scores  `json:"labels,omitempty"`
	Representatives []string `json:"representatives,omitempty" jsonschema_description:"ids of posts near the centroid"`
	Parent          string   `json:"parent,omitempty" jsonschema_description:"born: the cluster it replaces"`
	Overlap         float64  `json:"overlap,omitempty" jsonschema_description:"born: cosine to the parent"`
	Novel           float64  `json:"novel,omitempty" jsonschema_description:"alarm: share of novel pairs"`
	ModelDigest     string   `json:"model_digest"`
	Namespace       string   `json:"namespace"`
}

// Headers of a dead letter, behind the input record's own, in this order:
// whatever a producer calls its headers, ours are the last.
const (
	HeaderReason          = "itrstream-reason"
	HeaderDetail          = "itrstream-detail"
	HeaderStage           = "itrstream-stage"
	HeaderSourceTopic     = "itrstream-source-topic"
	HeaderSourcePartition = "itrstream-source-partition"
	HeaderSourceOffset    = "itrstream-source-offset"

	// DeadLetterHeaders is how many they are.
	DeadLetterHeaders = 6
)

// Headers of a record that went from the dead letters back to its topic, the
// last two, in this order. They come back with a dead letter of the record.
const (
	// HeaderRedriveAttempt is how often the record was sent back, 1 for the
	// first time.
	HeaderRedriveAttempt = "itrstream-redrive-attempt"
	// HeaderRedriveOf is the dead letter that was sent back:
	// topic/partition/offset.
	HeaderRedriveOf = "itrstream-redrive-of"
)

// HeaderRedriven is the one header of a record in the dead-letter topic that
// is no dead letter: a mark that one in its partition was sent back. The value is the
// mark of that dead letter.
const HeaderRedriven = "itrstream-redriven"

// Headers of results and tombstones.
const (
	HeaderResultID = "itrstream-result-id"
	HeaderInputKey = "itrstream-input-key"
)
