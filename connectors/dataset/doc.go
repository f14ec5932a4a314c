// Package dataset keeps a data set of pairs in a bucket: Parquet shards that
// pre-training reads, and a log that says which of them hold.
//
// Adding a column? Read columns.go; a column is one entry of its table.
// Reading? Folder.Entries names the shards that hold, Folder.Shard opens one.
// Wondering why no row is there twice, or what a crash leaves? Read Chain,
// then Chain.Sweep.
// Removing rows? Read Chain.Rewrite, then Takedowns.
package dataset
