package duplicates

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const post = "Waited three nights in the cold for this tawny owl, and it came on the fourth."

func TestSimilarity(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		want float64
	}{
		"the same":                  {post, post, 1},
		"case, spaces, punctuation": {post, " waited THREE nights…\n\nin the cold for this “tawny” owl and it came on the fourth!", 1},
		"compatibility forms":       {"ﬁne ① café", "fine 1 cafe\u0301", 1},
		"a link more":               {post, post + " https://t.co/abc?x=1", 1},
		"another link":              {"look www.example.org/a", "look HTTP://example.org/b", 1},
		"a word more":               {post, post + " Finally!", 15.0 / 16},
		"a word less":               {"one two three four five", "one two three four", 3.0 / 4},
		"a word changed":            {"one two three four five", "one two 3 four five", 2.0 / 6},
		"other order":               {"one two three", "three two one", 0},
		"nothing shared":            {post, "See you there?", 0},
		"both empty":                {"", "", 1},
		"both without words":        {"… !!!", "https://example.org", 1},
		"one without words":         {"", "a", 0},
		"one word":                  {"Monday", "monday", 1},
		"one other word":            {"Monday", "Tuesday", 0},
		"emoji":                     {"🦉", "🦉", 1},
		"other emoji":               {"🦉", "🐼", 0},
		"no spaces":                 {"今日はとても寒い", "今日はとても寒い。", 1},
		"other words, no spaces":    {"今日は寒い", "明日も暑い", 0},
		"said twice":                {"good morning good morning", "good morning good", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := TextHash(test.a), TextHash(test.b)
			assert.InDelta(t, test.want, Similarity(a, b), 1e-9)
			assert.InDelta(t, test.want, Similarity(b, a), 1e-9)
		})
	}
}

// A signature lies in shards for years: it must not change with the code.
func TestTextHashIsForGood(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "3a87a618a1578550b824f810", hexOf(TextHash("Fog over the ridge")))
}

func hexOf(t Text) string {
	var out strings.Builder
	for i := range len(t) {
		out.WriteString(strconv.FormatUint(uint64(t[i])>>4, 16) + strconv.FormatUint(uint64(t[i])&15, 16))
	}
	return out.String()
}

func TestSimilarityAgainstSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.IntRange(0, rapid.IntRange(1, 400).Draw(t, "vocabulary"))
		a := rapid.SliceOfN(word, 0, 300).Draw(t, "a")
		b := append(rapid.SliceOfN(word, 0, 50).Draw(t, "b"), a[rapid.IntRange(0, len(a)).Draw(t, "from"):]...)
		sketchA, sketchB := TextHash(written(a)), TextHash(written(b))
		got := Similarity(sketchA, sketchB)
		atLeast := rapid.OneOf(rapid.Float64Range(0.01, 1), rapid.SampledFrom([]float64{got, 0.5, 0.8, 1})).Draw(t, "at least")
		if _, ok := similar(sketchA, sketchB, max(atLeast, 0.01)); ok != (got >= max(atLeast, 0.01)) {
			t.Fatalf("similar says %t to %g of %g", ok, got, atLeast)
		}
		want, largest := jaccard(a, b)
		tolerance := 1e-9
		if largest >= sketchSize {
			tolerance = 5.0 / 16 // five standard deviations
		}
		if got < want-tolerance || got > want+tolerance {
			t.Fatalf("similarity %g, by sets %g", got, want)
		}
	})
}

func written(words []int) string {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = "w" + strconv.Itoa(w)
	}
	return strings.Join(text, " ")
}

// jaccard is the similarity by whole sets, and the larger set's size.
func jaccard(a, b []int) (similarity float64, largest int) {
	sets := [2]map[[2]int]bool{{}, {}}
	for i, words := range [][]int{a, b} {
		for j := range words {
			switch {
			case j > 0:
				sets[i][[2]int{words[j-1], words[j]}] = true
			case len(words) == 1:
				sets[i][[2]int{words[0], -1}] = true
			}
		}
	}
	shared := 0
	for pair := range sets[0] {
		if sets[1][pair] {
			shared++
		}
	}
	largest = max(len(sets[0]), len(sets[1]))
	if largest == 0 {
		return 1, 0
	}
	return float64(shared) / float64(len(sets[0])+len(sets[1])-shared), largest
}

func TestParseText(t *testing.T) {
	t.Parallel()
	for name, sketch := range map[string][]byte{
		"half a hash":    []byte("abcdef"),
		"too long":       bytes.Repeat([]byte("abcd"), sketchSize+1),
		"twice the same": []byte("abcdabcd"),
		"descending":     []byte("abcdaaaa"),
	} {
		_, err := ParseText(sketch)
		require.Error(t, err, name)
	}
}

func FuzzParseText(f *testing.F) {
	f.Add([]byte(nil), "")
	f.Add([]byte(TextHash(post)), post)
	f.Fuzz(func(t *testing.T, sketch []byte, text string) {
		own, err := ParseText([]byte(TextHash(text)))
		require.NoError(t, err)
		stored, err := ParseText(sketch)
		if err != nil {
			return
		}
		similarity := Similarity(stored, own)
		require.True(t, similarity >= 0 && similarity <= 1)
		require.InDelta(t, similarity, Similarity(own, stored), 0)
	})
}
