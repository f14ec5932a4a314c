package tokenize

// A Tokenizer appends the ids of text to dst, special tokens included, and returns the longer slice. At most as many
// ids are appended as the tokenizer was built for, and at least two. A Tokenizer is safe for concurrent use.
//
// Bytes that are not UTF-8 count as U+FFFD, which is what a decoder of JSON puts in their place.
type Tokenizer interface {
	Encode(dst []int64, text string) []int64
}
