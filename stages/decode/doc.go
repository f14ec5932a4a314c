// Package decode turns input records into posts and pairs: post.v1, our own
// JSON, and the events of Bluesky's Jetstream, legacy and v2.
//
// Adding a field of post.v1? Read schemas.Post, then native.go.
// Adding another source's format? Read jetstream.go beside message.go.
// Met a message that does harm? Add it to recipes_test.go.
// Asking why decoding is so cheap? Read images.go, then internal/jsonscan.
//
// # What becomes of a record
//
// Each record of a batch ends as exactly one of these; none is skipped.
//
//	post.v1 create or update            a post, and a pair for each of its images
//	post.v1 delete                      a delete: only post_id counts
//	record with a null value            a delete of the post whose id is the record's key
//	Jetstream commit of a post          the same three, under at://did/collection/rkey
//	anything else Jetstream sends       dead letter, not_a_post
//	no known schema                     dead letter, schema_unknown
//	over a limit                        dead letter, too_large
//	not JSON, or a wrong field          dead letter, malformed
//
// Events about accounts, identities and other collections are dead letters
// because invariant 1 knows three outcomes, and because dropping a takedown in
// silence would be worse than storing it. They carry a reason of their own, so
// that a consumer can tell them from faults by one header. Whoever reads a
// whole Jetstream should ask it for the collection of posts only; then what
// remains are the account and identity events, which no filter removes.
//
// # What is strict and what is not
//
// JSON is read strictly: see jsonscan. Fields that we know must have their
// type; null counts as absent. Fields that we don't know are checked as JSON
// and otherwise ignored, so that producers may be newer than we are. Text is
// kept byte for byte: no normalisation, no trimming.
//
// A Bluesky external embed is a link card. Its thumbnail was chosen by the
// linked page and not by the author, so it is no image of the post; videos and
// quoted posts aren't either.
package decode
