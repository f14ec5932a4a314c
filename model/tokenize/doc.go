// Package tokenize turns text into the token ids a bundle was trained with.
//
// Ids must equal Hugging Face's: a model sees a different sentence otherwise, and nothing downstream can tell. So every
// tokenizer here is compared with the original on tens of thousands of hostile strings (testdata/README.md).
//
// Adding a tokenizer? Implement Tokenizer, and give it a golden file of its own.
// Changing what a character becomes? Read chars.go, then regenerate tables.go by testdata/tables.py.
// Changing how words are cut? Read WordPiece, or byteBPE and mergeTable for RoBERTa, CLIP and BERTweet.
// Changing what a tweet is rewritten to? Read normalizer, then tweetSplitter.
//
// # Unicode
//
// The tokenizers package that Hugging Face's fast tokenizers run on takes its categories, decompositions and lower case
// from tables of different Unicode versions, and BERTweet's from those of Python, regex and emoji. Go's tables are of yet
// another. tables.go, tables_bpe.go and tables_tweet.go were therefore measured code point by code point from the packages
// that they name and are the only Unicode tables used here: a Go release that brings a newer Unicode moves no id.
package tokenize
