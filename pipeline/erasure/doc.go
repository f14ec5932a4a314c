// Package erasure takes a post, or all posts of an author, out of what the
// pipeline keeps, and says what it cannot reach.
//
// Asking what is done, in which order? Read Erasure.Execute.
// Asking what stays, and for how long? Read remains.
// Asking why an author cannot be taken down? Read newTarget.
//
// It works beside running collectors and without them: the data set is changed
// by the same code, and revisions of shards keep two who change the same one
// apart. Only centroids are left to the label pipeline, which a delete event reaches through
// the posts topics. Doing it again does no harm.
package erasure
