// Package dataset keeps a data set of pairs: Parquet shards that pre-training
// reads.
//
// Adding a column? Read columns.go; a column is one entry of its table.
// Reading a shard? NewReader and Rows, with the columns you want.
package dataset
