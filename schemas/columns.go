package schemas

import "github.com/apache/arrow/go/v15/arrow"

// Columns of Batch.Posts. The source writes the first group, decode the
// second (null where the post has no such field, or was rejected), decide the
// third.
const (
	RecordOffset  = "record_offset"  // int64: the input record's offset
	RecordTime    = "record_time"    // timestamp[ms]: the input record's timestamp
	RecordKey     = "record_key"     // binary, nullable
	RecordValue   = "record_value"   // binary, nullable (a null value is a tombstone in the input)
	RecordHeaders = "record_headers" // list<struct<key: utf8, value: binary>>

	PostSource    = "post_source"     // utf8: bluesky, reddit, …
	PostOp        = "post_op"         // utf8: create, update, delete
	PostID        = "post_id"         // utf8
	PostAuthor    = "post_author_id"  // utf8: a keyed hash; the id itself is in the input record alone
	PostCreatedAt = "post_created_at" // timestamp[us, UTC]
	PostText      = "post_text"       // utf8: plain text
	PostLangs     = "post_langs"      // list<utf8>
	PostSensitive = "post_sensitive"  // bool, null when the source doesn't say
	PostParent    = "post_parent_id"  // utf8
	PostURI       = "post_uri"        // utf8: where the post lives
	PostVersion   = "post_version"    // utf8: the source's own version of it (a CID, an edit time)
	PostLicense   = "post_license"    // utf8: under which it is published
	PostOptOuts   = "post_opt_outs"   // list<utf8>: uses that its author reserves: noai, tdm, …

	PostDecisions = "post_decisions" // list<struct<rule: utf8, topic: utf8, error: utf8>>
)

// Columns of Batch.Pairs. Decode writes the first group, media the second,
// infer the third, cluster the fourth, collect the last. A pair with a PairFailure is null in
// every column of the stages after the one that failed it. A pair has a URL or
// an image or neither, never both: a result must not name a URL whose bytes
// were not the ones judged.
const (
	PairPost  = "pair_post"  // int32: row in Posts
	PairIndex = "pair_index" // int32: the image's index in the post
	PairURL   = "pair_url"   // utf8, nullable: where to fetch the image
	PairImage = "pair_image" // binary, nullable: encoded image; dropped by media
	PairAlt   = "pair_alt"   // utf8, nullable: alternative text

	PairVector  = "pair_image_vector"   // fixed_size_list<float32>[w], nullable: what the image tower made of the image; dropped by infer
	PairDigest  = "pair_digest"         // fixed_size_binary[32], nullable: SHA-256 of the encoded image
	PairFailure = "pair_failure"        // utf8, nullable: a Reason
	PairDetail  = "pair_failure_detail" // utf8, nullable: what went wrong, for people

	PairScores          = "pair_scores"              // fixed_size_list<float32>[4]: calibrated, sum 1
	PairTextRepresented = "pair_text_is_represented" // float32: scores[2]+scores[3]
	PairImageAdds       = "pair_image_adds"          // float32: scores[1]+scores[3]
	PairSimilarity      = "pair_similarity"          // float32 in [−1,1]
	PairEmbedding       = "pair_embedding"           // fixed_size_list<float32>[d], L2 norm 1

	PairCluster       = "pair_cluster"          // utf8, nullable: public cluster id
	PairClusterStatus = "pair_cluster_status"   // utf8: a ClusterStatus
	PairDistance      = "pair_distance"         // float32, nullable: squared distance to the centroid
	PairNovelty       = "pair_novelty"          // bool, nullable: far outside its cluster
	PairClusterVer    = "pair_centroid_version" // int64, nullable: version of the centroids that assigned

	PairSelected = "pair_selected" // struct<reason: utf8, probability: float64>, nullable: it is chosen for the data set
)

var (
	headerType = arrow.StructOf(
		arrow.Field{Name: "key", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "value", Type: arrow.BinaryTypes.Binary, Nullable: true},
	)
	decisionType = arrow.StructOf(
		arrow.Field{Name: "rule", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "topic", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "error", Type: arrow.BinaryTypes.String, Nullable: true},
	)
	selectedType = arrow.StructOf(
		arrow.Field{Name: "reason", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "probability", Type: arrow.PrimitiveTypes.Float64},
	)
)

// RecordFields are the columns that the source writes into Posts.
func RecordFields() []arrow.Field {
	return []arrow.Field{
		{Name: RecordOffset, Type: arrow.PrimitiveTypes.Int64},
		{Name: RecordTime, Type: arrow.FixedWidthTypes.Timestamp_ms},
		{Name: RecordKey, Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: RecordValue, Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: RecordHeaders, Type: arrow.ListOf(headerType)},
	}
}

// PostFields are the columns that decode adds to Posts.
func PostFields() []arrow.Field {
	str := func(name string) arrow.Field {
		return arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
	}
	return []arrow.Field{
		str(PostSource), str(PostOp), str(PostID), str(PostAuthor),
		{Name: PostCreatedAt, Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		str(PostText),
		{Name: PostLangs, Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: PostSensitive, Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		str(PostParent), str(PostURI), str(PostVersion), str(PostLicense),
		{Name: PostOptOuts, Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	}
}

// PairFields are the columns of Pairs as decode creates it.
func PairFields() []arrow.Field {
	return []arrow.Field{
		{Name: PairPost, Type: arrow.PrimitiveTypes.Int32},
		{Name: PairIndex, Type: arrow.PrimitiveTypes.Int32},
		{Name: PairURL, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: PairImage, Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: PairAlt, Type: arrow.BinaryTypes.String, Nullable: true},
	}
}

// MediaFields are the columns that media adds to Pairs for an image tower that
// gives w values.
func MediaFields(w int) []arrow.Field {
	return []arrow.Field{
		{Name: PairVector, Type: arrow.FixedSizeListOf(int32(w), arrow.PrimitiveTypes.Float32), Nullable: true}, //nolint:gosec // widths come from a checked bundle
		{Name: PairDigest, Type: &arrow.FixedSizeBinaryType{ByteWidth: 32}, Nullable: true},
		{Name: PairFailure, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: PairDetail, Type: arrow.BinaryTypes.String, Nullable: true},
	}
}

// InferFields are the columns that infer adds to Pairs for embeddings of
// width d.
func InferFields(d int) []arrow.Field {
	f32 := func(name string) arrow.Field {
		return arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Float32, Nullable: true}
	}
	return []arrow.Field{
		{Name: PairScores, Type: arrow.FixedSizeListOf(Relations, arrow.PrimitiveTypes.Float32), Nullable: true},
		f32(PairTextRepresented), f32(PairImageAdds), f32(PairSimilarity),
		{Name: PairEmbedding, Type: arrow.FixedSizeListOf(int32(d), arrow.PrimitiveTypes.Float32), Nullable: true}, //nolint:gosec // widths come from a checked bundle
	}
}

// ClusterFields are the columns that cluster adds to Pairs.
func ClusterFields() []arrow.Field {
	return []arrow.Field{
		{Name: PairCluster, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: PairClusterStatus, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: PairDistance, Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		{Name: PairNovelty, Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: PairClusterVer, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}
}

// DecideFields are the columns that decide adds to Posts.
func DecideFields() []arrow.Field {
	return []arrow.Field{{Name: PostDecisions, Type: arrow.ListOf(decisionType), Nullable: true}}
}

// CollectFields are the columns that collect adds to Pairs.
func CollectFields() []arrow.Field {
	return []arrow.Field{{Name: PairSelected, Type: selectedType, Nullable: true}}
}
