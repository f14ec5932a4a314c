// Package takedown takes posts, authors and images out of the data set while
// it is being collected: rows that wait in a shard, shards that are written, and
// images that no row refers to any more.
//
// Asking what happens to a record of a takedown? Read Reaper.Take, then Sweep.
// Asking why a row that another collector is just writing goes, too? Read
// Reaper.Settled.
// Asking when an image goes? Read Reaper.reap.
//
// # Why nothing that is taken down stays
//
// Everything that must not be in the data set is in one set, which lasts before
// the log advances past the record that asked for it. A row is held against it
// when it comes, when its shard is about to be written, and once more when the shard is in
// the log. Whoever adds to the set looks through the log afterwards. So of a shard and a
// takedown that do not know of each other, one comes first: if the
// takedown lasts before the shard's last look, that finds it; otherwise the shard
// was in the log before the takedown's look through it began.
//
// A crash forgets what was still to be looked for. So who starts holds every shard against the whole
// set, once.
package takedown
