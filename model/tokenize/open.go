package tokenize

import (
	"fmt"
	"io"
)

// Types are the names by which a bundle says how its text becomes ids.
var Types = []string{typeWordPiece, typeRoBERTa, typeCLIP, typeBERTweet}

const (
	typeWordPiece = "wordpiece"
	typeRoBERTa   = "roberta"
	typeCLIP      = "clip"
	typeBERTweet  = "bertweet"
)

// NeedsMerges tells whether a tokenizer of that type has a file of merges beside its vocabulary.
func NeedsMerges(kind string) bool { return kind != typeWordPiece }

// New makes the tokenizer of one of Types from its files; merges is not read where NeedsMerges is false. Lowercase is for
// WordPiece alone. BERTweet is as published, without its normaliser of tweets.
func New(kind string, vocab, merges io.Reader, lowercase bool, maxTokens int) (Tokenizer, error) {
	switch kind {
	case typeWordPiece:
		return NewWordPiece(vocab, lowercase, maxTokens)
	case typeRoBERTa:
		return NewRoBERTa(vocab, merges, maxTokens)
	case typeCLIP:
		return NewCLIP(vocab, merges, maxTokens)
	case typeBERTweet:
		return NewBERTweet(vocab, merges, false, maxTokens)
	}
	return nil, fmt.Errorf("tokenize: %q is no type of tokenizer, must be one of %q", kind, Types)
}
