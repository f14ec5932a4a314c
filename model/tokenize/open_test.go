package tokenize_test

import (
	"slices"
	"testing"

	"github.com/itrstream/itrstream/model/tokenize"
)

// TestNew holds each type to what its own constructor makes.
func TestNew(t *testing.T) {
	t.Parallel()
	const text = "Look at this, it's #Paris 😍 https://t.co/x"
	for kind, want := range map[string]tokenize.Tokenizer{
		"wordpiece": newWordPiece(t, true, 32),
		"roberta":   newBPE(t, "roberta/roberta", 32),
		"clip":      newBPE(t, "clip/clip", 32),
		"bertweet":  newBPE(t, "bertweet/bertweet", 32),
	} {
		vocab, merges := "testdata/"+vocabFile, ""
		for _, golden := range bpeTokenizers {
			if golden.golden == kind+"/"+kind {
				vocab, merges = *goldenFolder+"/"+golden.vocab, *goldenFolder+"/"+golden.merges
			}
		}
		if tokenize.NeedsMerges(kind) != (merges != "") {
			t.Errorf("%s: NeedsMerges is %t", kind, merges == "")
		}
		if !slices.Contains(tokenize.Types, kind) {
			t.Errorf("%s is not among Types", kind)
		}
		if merges == "" {
			merges = vocab
		}
		got, err := tokenize.New(kind, openFile(t, vocab), openFile(t, merges), true, 32)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if got, want := got.Encode(nil, text), want.Encode(nil, text); !slices.Equal(got, want) {
			t.Errorf("%s: got %d, want %d", kind, got, want)
		}
	}
	if _, err := tokenize.New("sentencepiece", nil, nil, false, 32); err == nil {
		t.Error("a tokenizer of an unknown type was made")
	}
}
