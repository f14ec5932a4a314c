package tokenize_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/itrstream/itrstream/model/tokenize"
)

// goldenFolder may be one that testdata/golden_bpe.py --full has filled for vocabularies too large to keep.
var goldenFolder = flag.String("golden", "testdata", "folder of the byte-pair vocabularies and their golden files")

// bpeTokenizers lists the tokenizers of golden_bpe.py.
var bpeTokenizers = []struct {
	golden, vocab, merges string
	lengths               []int
	open                  func(vocab, merges io.Reader, maxTokens int) (tokenize.Tokenizer, error)
}{
	{
		"roberta/roberta", "roberta/vocab.json", "roberta/merges.txt",
		[]int{128, 16, 512, 5},
		func(vocab, merges io.Reader, n int) (tokenize.Tokenizer, error) {
			return tokenize.NewRoBERTa(vocab, merges, n)
		},
	},
	{
		"clip/clip", "clip/vocab.json", "clip/merges.txt",
		[]int{77, 16, 512, 5},
		func(vocab, merges io.Reader, n int) (tokenize.Tokenizer, error) {
			return tokenize.NewCLIP(vocab, merges, n)
		},
	},
	{
		"bertweet/bertweet", "bertweet/vocab.txt", "bertweet/bpe.codes",
		[]int{128, 16, 100, 5},
		func(vocab, merges io.Reader, n int) (tokenize.Tokenizer, error) {
			return tokenize.NewBERTweet(vocab, merges, false, n)
		},
	},
	{
		"bertweet/normalized", "bertweet/vocab.txt", "bertweet/bpe.codes",
		[]int{128, 16, 100, 5},
		func(vocab, merges io.Reader, n int) (tokenize.Tokenizer, error) {
			return tokenize.NewBERTweet(vocab, merges, true, n)
		},
	},
}

func openFile(t testing.TB, name string) *os.File {
	t.Helper()
	file, err := os.Open(filepath.Clean(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// newBPE opens one of bpeTokenizers.
func newBPE(t testing.TB, golden string, maxTokens int) tokenize.Tokenizer {
	t.Helper()
	for _, kind := range bpeTokenizers {
		if kind.golden != golden {
			continue
		}
		tokenizer, err := kind.open(openFile(t, *goldenFolder+"/"+kind.vocab), openFile(t, *goldenFolder+"/"+kind.merges), maxTokens)
		if err != nil {
			t.Fatal(err)
		}
		return tokenizer
	}
	t.Fatalf("no tokenizer %s", golden)
	return nil
}

// collages makes the strings that testdata/golden_bpe.py pastes from fragments, by the same arithmetic.
type collages []string

func newCollages(t testing.TB) collages { return fileLines(t, "fragments_bpe.txt") }

func (c collages) at(index int) string {
	draw := splitMix64(index)
	var text []byte
	for range draw.below(24) + 1 {
		if draw.below(5) == 0 {
			block := hostileBlocks[draw.below(len(hostileBlocks))]
			text = utf8.AppendRune(text, block[0]+rune(draw.below(int(block[1]-block[0]+1))))
		} else {
			text = append(text, c[draw.below(len(c))]...)
		}
		text = append(text, []string{"\n", " ", " ", "", "", "", "", ""}[draw.below(8)]...)
	}
	return string(text)
}

// bpeStrings are hostile strings at even places and collages at odd ones.
type bpeStrings struct {
	hostile  hostileStrings
	collages collages
}

func newBPEStrings(t testing.TB) bpeStrings {
	t.Helper()
	return bpeStrings{newHostileStrings(t), newCollages(t)}
}

func (s bpeStrings) at(index int) string {
	if index%2 == 1 {
		return s.collages.at(index)
	}
	return s.hostile.at(index)
}

// TestBPEOnHostileText compares 20,000 strings a tokenizer with Hugging Face's ids, by checksum.
func TestBPEOnHostileText(t *testing.T) {
	t.Parallel()
	texts := newBPEStrings(t)
	for _, kind := range bpeTokenizers {
		t.Run(kind.golden, func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(filepath.Clean(*goldenFolder + "/" + kind.golden + ".crc"))
			if err != nil {
				t.Fatal(err)
			}
			if len(golden) < 4*20_000 {
				t.Fatalf("%s.crc has %d strings, at least 20,000 are needed", kind.golden, len(golden)/4)
			}
			tokenizers := make([]tokenize.Tokenizer, len(kind.lengths))
			for i, n := range kind.lengths {
				tokenizers[i] = newBPE(t, kind.golden, n)
			}
			var ids []int64
			var bytes []byte
			failed := 0
			for index := range len(golden) / 4 {
				text := texts.at(index)
				ids = tokenizers[index/2%len(tokenizers)].Encode(ids[:0], text)
				bytes = append(bytes[:0], text...)
				for _, id := range ids {
					bytes = binary.LittleEndian.AppendUint32(bytes, uint32(id))
				}
				if crc32.ChecksumIEEE(bytes) != binary.LittleEndian.Uint32(golden[4*index:]) {
					if failed++; failed <= 20 {
						t.Errorf("string %d (python testdata/golden_bpe.py --show %s %d): %+q\n%d", index, kind.golden, index, text, ids)
					}
				}
			}
			if failed > 0 {
				t.Errorf("%d of %d strings differ from Hugging Face", failed, len(golden)/4)
			}
		})
	}
}

func TestBPEOnOrdinaryText(t *testing.T) {
	t.Parallel()
	for _, kind := range bpeTokenizers {
		t.Run(kind.golden, func(t *testing.T) {
			t.Parallel()
			tokenizer := newBPE(t, kind.golden, kind.lengths[0])
			for decoder := json.NewDecoder(openFile(t, *goldenFolder+"/"+kind.golden+".jsonl")); ; {
				var golden struct {
					Text string
					IDs  []int64
				}
				if err := decoder.Decode(&golden); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if got := tokenizer.Encode([]int64{7}, golden.Text)[1:]; !slices.Equal(got, golden.IDs) {
					t.Errorf("%q:\n got %d\nwant %d", golden.Text, got, golden.IDs)
				}
			}
		})
	}
}

func TestBPETakesBrokenUTF8AsReplacement(t *testing.T) {
	t.Parallel()
	for _, kind := range bpeTokenizers {
		tokenizer := newBPE(t, kind.golden, 64)
		for broken, whole := range map[string]string{
			"th\xffe \xc3":     "th\ufffde \ufffd",
			"é\xe2\x82 \xff<s": "é\ufffd\ufffd \ufffd<s",
		} {
			if got, want := tokenizer.Encode(nil, broken), tokenizer.Encode(nil, whole); !slices.Equal(got, want) {
				t.Errorf("%s: got %d, want %d", kind.golden, got, want)
			}
		}
	}
}

func TestBPEIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	texts := newBPEStrings(t)
	for _, kind := range bpeTokenizers {
		tokenizer := newBPE(t, kind.golden, 64)
		var want [64][]int64
		for i := range want {
			want[i] = tokenizer.Encode(nil, texts.at(i))
		}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for i := range want {
					if got := tokenizer.Encode(nil, texts.at(i)); !slices.Equal(got, want[i]) {
						t.Errorf("%s, string %d: got %d, want %d", kind.golden, i, got, want[i])
					}
				}
			})
		}
		group.Wait()
	}
}

// TestBPEBearsLongText reads texts that take a tokenizer quadratic or exponential time if it is careless.
func TestBPEBearsLongText(t *testing.T) {
	t.Parallel()
	for _, kind := range bpeTokenizers {
		tokenizer := newBPE(t, kind.golden, kind.lengths[0])
		for _, text := range []string{
			strings.Repeat("a", 1<<17),
			strings.Repeat("abc", 1<<15),
			strings.Repeat("ẹ́", 1<<15),
			"http://" + strings.Repeat(".,", 1<<15),
			"http:" + strings.Repeat("(<", 1<<14) + "x" + strings.Repeat(")>", 1<<14),
			strings.Repeat("http:(", 1<<14),
			strings.Repeat("1.", 1<<14),
			strings.Repeat("<mas", 1<<15),
			strings.Repeat("&#", 1<<15),
		} {
			if ids := tokenizer.Encode(nil, text); len(ids) < 3 || len(ids) > kind.lengths[0] {
				t.Errorf("%s: %d ids of %.20q...", kind.golden, len(ids), text)
			}
		}
	}
}

// byteVocab is a vocabulary of all bytes, and more pieces.
func byteVocab(suffixes []string, more ...string) string {
	ids := map[string]int{}
	add := func(piece string) {
		if _, ok := ids[piece]; !ok {
			ids[piece] = len(ids)
		}
	}
	next := rune(0x100)
	for value := range rune(256) {
		letter := value
		if value < '!' || '~' < value && value < '¡' || value == '\u00ad' {
			letter = next
			next++
		}
		for _, suffix := range suffixes {
			add(string(letter) + suffix)
		}
	}
	for _, piece := range more {
		add(piece)
	}
	text, _ := json.Marshal(ids)
	return string(text)
}

func TestNewBPERefuses(t *testing.T) {
	t.Parallel()
	roberta := byteVocab([]string{""}, "<s>", "</s>", "<pad>", "<unk>", "<mask>", "ab")
	clip := byteVocab([]string{"", "</w>"}, "<|startoftext|>", "<|endoftext|>", "ab")
	const codes = "a b</w> 2\n"
	for name, test := range map[string]struct {
		kind, vocab, merges string
		max                 int
		says                string
	}{
		"roberta without room":             {"roberta/roberta", roberta, "a b\n", 1, "maxTokens is 1"},
		"roberta without a byte":           {"roberta/roberta", `{"a":0}`, "a b\n", 8, "for the byte 0x00"},
		"roberta without <mask>":           {"roberta/roberta", byteVocab([]string{""}, "<s>", "</s>", "<pad>", "<unk>", "ab"), "a b\n", 8, "no <mask>"},
		"roberta's vocabulary of BERT":     {"roberta/roberta", "[PAD]\n[UNK]\n", "a b\n", 8, "not a JSON object"},
		"roberta with a negative id":       {"roberta/roberta", `{"a":-1}`, "a b\n", 8, `"a" the id -1`},
		"roberta without specials":         {"roberta/roberta", byteVocab([]string{""}, "ab"), "a b\n", 8, "no <s>"},
		"merges of three":                  {"roberta/roberta", roberta, "#version: 0.2\na b c\n", 8, "line 2 of the merges is \"a b c\""},
		"merges of another vocabulary":     {"roberta/roberta", roberta, "a c\n", 8, `no piece "ac"`},
		"no merges":                        {"roberta/roberta", roberta, "#version: 0.2\n", 8, "merges are empty"},
		"merges without end":               {"roberta/roberta", roberta, strings.Repeat("x", 1<<17), 8, "line 1 of the merges"},
		"clip without room":                {"clip/clip", clip, "a b\n", 1, "maxTokens is 1"},
		"clip with roberta's vocabulary":   {"clip/clip", roberta, "a b\n", 8, "</w>"},
		"clip without specials":            {"clip/clip", byteVocab([]string{"", "</w>"}, "ab"), "a b\n", 8, "no <|startoftext|>"},
		"bertweet without room":            {"bertweet/bertweet", "ab 1\n", codes, 1, "maxTokens is 1"},
		"bertweet with too much":           {"bertweet/bertweet", "ab 1\n", codes, 130, "BERTweet's 128"},
		"bertweet with a special":          {"bertweet/bertweet", "ab 1\n</s> 1\n", codes, 8, "line 2 of the vocabulary is </s>"},
		"bertweet without counts":          {"bertweet/bertweet", "ab\n", codes, 8, "line 1 of the vocabulary"},
		"bertweet without vocabulary":      {"bertweet/bertweet", "", codes, 8, "vocabulary is empty"},
		"bertweet's codes of two columns":  {"bertweet/bertweet", "ab 1\n", "a b</w> 2\nc d\n", 8, "line 2 of the codes"},
		"bertweet without codes":           {"bertweet/bertweet", "ab 1\n", "", 8, "codes are empty"},
		"bertweet's codes without end":     {"bertweet/bertweet", "ab 1\n", strings.Repeat("x", 1<<17), 8, "line 1 of the codes"},
		"bertweet in another encoding":     {"bertweet/bertweet", "\xff\xfe 1\n", codes, 8, "line 1 of the vocabulary"},
		"bertweet's vocabulary's last row": {"bertweet/bertweet", "ab 1\n" + strings.Repeat("x", 1<<17), codes, 8, "line 2 of the vocabulary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range bpeTokenizers {
				if kind.golden != test.kind {
					continue
				}
				_, err := kind.open(strings.NewReader(test.vocab), strings.NewReader(test.merges), test.max)
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v does not say %q", err, test.says)
				}
			}
		})
	}
	broken := errors.New("broken pipe")
	for _, kind := range bpeTokenizers {
		if _, err := kind.open(iotest.ErrReader(broken), strings.NewReader(""), 8); !errors.Is(err, broken) {
			t.Errorf("%s: the reader's error is lost: %v", kind.golden, err)
		}
	}
}

// TestBERTweetJoinsAllPlacesOfAMergeFirst holds the order of merges where it matters: abc can be made in two ways, so that
// a merge of it may come before the one that made it.
func TestBERTweetJoinsAllPlacesOfAMergeFirst(t *testing.T) {
	t.Parallel()
	vocab := "abc@@ 1\nabcab@@ 1\nc@@ 1\nx 1\n"
	codes := "a b 9\nb c 8\na bc 7\nabc ab 6\nab c 5\n"
	b, err := tokenize.NewBERTweet(strings.NewReader(vocab), strings.NewReader(codes), false, 16)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.Encode(nil, "abcabcx"), []int64{0, 4, 4, 7, 2}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d (abc@@ abc@@ x, as Hugging Face has it)", got, want)
	}
}

func fuzzBPE(f *testing.F, golden string, bos, eos int64) {
	f.Helper()
	texts := newBPEStrings(f)
	for i := range 64 {
		f.Add(texts.at(i))
	}
	const limit, most = 24, tokenize.BERTweetTokens
	short, long := newBPE(f, golden, limit), newBPE(f, golden, most)
	f.Fuzz(func(t *testing.T, text string) {
		ids, whole := short.Encode(nil, text), long.Encode(nil, text)
		for _, got := range []struct {
			ids []int64
			max int
		}{{ids, limit}, {whole, most}} {
			if n := len(got.ids); n < 2 || n > got.max || got.ids[0] != bos || got.ids[n-1] != eos {
				t.Fatalf("%q: %d", text, got.ids)
			}
		}
		// Truncation must be a cut of the whole, whatever was skipped to save time.
		if cut := ids[:len(ids)-1]; !slices.Equal(cut, whole[:len(cut)]) {
			t.Fatalf("%q: %d is no prefix of %d", text, cut, whole)
		}
		if len(whole) <= limit && len(ids) != len(whole) {
			t.Fatalf("%q: %d ids of %d though all fit", text, len(ids), len(whole))
		}
	})
}

func FuzzRoBERTa(f *testing.F) { fuzzBPE(f, "roberta/roberta", 0, 2) }

func FuzzCLIP(f *testing.F) { fuzzBPE(f, "clip/clip", 3512, 3513) }

func FuzzBERTweet(f *testing.F) { fuzzBPE(f, "bertweet/bertweet", 0, 2) }

func FuzzBERTweetNormalized(f *testing.F) { fuzzBPE(f, "bertweet/normalized", 0, 2) }

func BenchmarkBPE(b *testing.B) {
	text := "Look at this view from the Eiffel Tower! #Paris — wish you were here, it's unbelievably beautiful tonight 😍 https://t.co/Xy12Ab"
	for _, kind := range bpeTokenizers {
		b.Run(kind.golden, func(b *testing.B) {
			tokenizer := newBPE(b, kind.golden, kind.lengths[0])
			dst := make([]int64, 0, 128)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				dst = tokenizer.Encode(dst[:0], text)
			}
		})
	}
}
