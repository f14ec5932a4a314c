package tokenize_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/itrstream/itrstream/model/tokenize"
)

const vocabFile = "vocab.txt"

// Ids of bert-base-uncased.
const (
	idUnknown = 100
	idClass   = 101
	idSep     = 102
)

func newWordPiece(t testing.TB, lowercase bool, maxTokens int) *tokenize.WordPiece {
	t.Helper()
	vocab, err := os.Open("testdata/" + vocabFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = vocab.Close() }()
	w, err := tokenize.NewWordPiece(vocab, lowercase, maxTokens)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWordPieceOnOrdinaryText(t *testing.T) {
	t.Parallel()
	uncased, cased := newWordPiece(t, true, 128), newWordPiece(t, false, 128)
	for _, row := range fileLines(t, "wordpiece.jsonl") {
		var golden struct {
			Text       string
			IDs, Cased []int64
		}
		if err := json.Unmarshal([]byte(row), &golden); err != nil {
			t.Fatal(err)
		}
		if got := uncased.Encode(nil, golden.Text); !slices.Equal(got, golden.IDs) {
			t.Errorf("uncased %q:\n got %d\nwant %d", golden.Text, got, golden.IDs)
		}
		if got := cased.Encode(nil, golden.Text); !slices.Equal(got, golden.Cased) {
			t.Errorf("cased %q:\n got %d\nwant %d", golden.Text, got, golden.Cased)
		}
	}
}

// TestWordPieceOnHostileText compares 40,000 strings with Hugging Face's ids, by checksum.
func TestWordPieceOnHostileText(t *testing.T) {
	t.Parallel()
	const casedEvery = 4
	uncased, cased := map[int]*tokenize.WordPiece{}, map[int]*tokenize.WordPiece{}
	lengths := []int{128, 16, 512, 5}
	for _, n := range lengths {
		uncased[n], cased[n] = newWordPiece(t, true, n), newWordPiece(t, false, n)
	}
	golden, err := os.ReadFile("testdata/wordpiece.crc")
	if err != nil {
		t.Fatal(err)
	}
	if len(golden) < 4*20_000 {
		t.Fatalf("wordpiece.crc has %d strings, at least 20,000 are needed", len(golden)/4)
	}
	texts := newHostileStrings(t)
	var ids []int64
	var bytes []byte
	failed := 0
	for index := range len(golden) / 4 {
		tokenizers := uncased
		if index%casedEvery == casedEvery-1 {
			tokenizers = cased
		}
		text := texts.at(index)
		ids = tokenizers[lengths[index/casedEvery%len(lengths)]].Encode(ids[:0], text)
		bytes = append(bytes[:0], text...)
		for _, id := range ids {
			bytes = binary.LittleEndian.AppendUint32(bytes, uint32(id))
		}
		if crc32.ChecksumIEEE(bytes) != binary.LittleEndian.Uint32(golden[4*index:]) {
			if failed++; failed <= 20 {
				t.Errorf("string %d (python testdata/golden.py --show %d): %+q\n%d", index, index, text, ids)
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d strings differ from Hugging Face", failed, len(golden)/4)
	}
}

func TestEncodeKeepsWhatDstHolds(t *testing.T) {
	t.Parallel()
	w := newWordPiece(t, true, 4)
	got := w.Encode([]int64{7, 8}, "the the the the")
	if want := []int64{7, 8, idClass, 1996, 1996, idSep}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestEncodeTakesBrokenUTF8AsReplacement(t *testing.T) {
	t.Parallel()
	w := newWordPiece(t, true, 16)
	if got, want := w.Encode(nil, "th\xffe \xc3"), w.Encode(nil, "th\ufffde \ufffd"); !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestEncodeAllocatesOnlyIDs(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	w := newWordPiece(t, true, 128)
	dst := make([]int64, 0, 128)
	text := strings.Repeat("Señor 東京 한국 unaffable [SEP] ", 40)
	if n := testing.AllocsPerRun(100, func() { dst = w.Encode(dst[:0], text) }); n != 0 {
		t.Errorf("%v allocations a text, want none", n)
	}
}

func TestWordPieceIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	w, texts := newWordPiece(t, true, 64), newHostileStrings(t)
	var want [64][]int64
	for i := range want {
		want[i] = w.Encode(nil, texts.at(i))
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range want {
				if got := w.Encode(nil, texts.at(i)); !slices.Equal(got, want[i]) {
					t.Errorf("string %d: got %d, want %d", i, got, want[i])
				}
			}
		})
	}
	group.Wait()
}

func TestNewWordPieceRefuses(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for name, test := range map[string]struct {
		vocab string
		max   int
		says  string
	}{
		"no room for special tokens": {"[UNK]\n[CLS]\n[SEP]\n", 1, "maxTokens is 1"},
		"an empty vocabulary":        {"", 8, "no [UNK]"},
		"a vocabulary without [SEP]": {"[UNK]\n[CLS]\nthe\n", 8, "no [SEP]"},
		"another encoding":           {"[UNK]\n[CLS]\n[SEP]\n\xff\xfe\n", 8, "line 4 of the vocabulary is not UTF-8"},
		"a line without end":         {"[UNK]\n" + strings.Repeat("x", 1<<17), 8, "line 2 of the vocabulary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tokenize.NewWordPiece(strings.NewReader(test.vocab), true, test.max)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
	if _, err := tokenize.NewWordPiece(iotest.ErrReader(broken), true, 8); !errors.Is(err, broken) {
		t.Errorf("the reader's error is lost: %v", err)
	}
}

func FuzzWordPiece(f *testing.F) {
	texts := newHostileStrings(f)
	for i := range 64 {
		f.Add(texts.at(i))
	}
	const limit = 24
	w, cased, long := newWordPiece(f, true, limit), newWordPiece(f, false, limit), newWordPiece(f, true, 1<<20)
	f.Fuzz(func(t *testing.T, text string) {
		for _, tokenizer := range []*tokenize.WordPiece{w, cased} {
			ids := tokenizer.Encode(nil, text)
			if len(ids) < 2 || len(ids) > limit || ids[0] != idClass || ids[len(ids)-1] != idSep {
				t.Fatalf("%q: %d", text, ids)
			}
		}
		// Truncation must be a cut of the whole, whatever was skipped to save time.
		ids, whole := w.Encode(nil, text), long.Encode(nil, text)
		if cut := ids[:len(ids)-1]; !slices.Equal(cut, whole[:len(cut)]) {
			t.Fatalf("%q: %d is no prefix of %d", text, cut, whole)
		}
		if len(whole) <= limit && len(ids) != len(whole) {
			t.Fatalf("%q: %d ids of %d though all fit", text, len(ids), len(whole))
		}
		// No character joins words across a space.
		joined := long.Encode(nil, text+" "+text)
		if half := whole[1 : len(whole)-1]; !slices.Equal(joined[1:len(joined)-1], slices.Concat(half, half)) {
			t.Fatalf("%q twice: %d, once: %d", text, joined, whole)
		}
	})
}

func BenchmarkWordPiece(b *testing.B) {
	w := newWordPiece(b, true, 128)
	text := "Look at this view from the Eiffel Tower! #Paris — wish you were here, it's unbelievably beautiful tonight 😍 https://t.co/Xy12Ab"
	dst := make([]int64, 0, 128)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		dst = w.Encode(dst[:0], text)
	}
}
