package duplicates

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"unicode"

	"github.com/cespare/xxhash/v2"
	"github.com/clipperhouse/uax29/v2/words"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// sketchSize is how many hashes of a text are kept. Posts of up to 65 words fit whole, so that their similarity is exact; of
// longer texts it is an estimate with a standard deviation of at most 1/16.
const (
	sketchSize = 64
	hashBytes  = 4
)

// Text is the MinHash signature of a text: the (up to) 64 smallest 32-bit hashes of its word pairs, ascending, big-endian.
//
// One hash function with many minima, instead of one minimum each of many functions: a post has a dozen words, and the set
// itself takes fewer bytes (44 for twelve words) than 64 minima of it (256), and tells more. Empty means a text without words.
type Text string

// A link says where a post came from more than what it says, and link shorteners make each one new.
var link = regexp.MustCompile(`(?i)\b(?:https?://|www\.)\S+`)

// TextHash is the signature of a text. Case, compatibility forms, white space, punctuation and links make no difference.
func TextHash(text string) Text {
	var hashes []uint32
	var before []byte
	digest := xxhash.New()
	for word := range wordsOf(text) {
		if before != nil {
			hashes = append(hashes, shingle(digest, before, word))
		}
		before = append(before[:0], word...)
	}
	if len(hashes) == 0 && before != nil {
		hashes = append(hashes, shingle(digest, before, nil))
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	sketch := make([]byte, 0, hashBytes*sketchSize)
	for _, h := range hashes[:min(len(hashes), sketchSize)] {
		sketch = binary.BigEndian.AppendUint32(sketch, h)
	}
	return Text(sketch)
}

// wordsOf yields words and emoji, folded. Scripts without spaces come apart by Unicode's rules, ideographs one by one.
func wordsOf(text string) func(yield func([]byte) bool) {
	folded := cases.Fold().Bytes(norm.NFKC.Bytes(link.ReplaceAll([]byte(text), []byte(" "))))
	return func(yield func([]byte) bool) {
		for tokens := words.FromBytes(folded); tokens.Next(); {
			if isWord(tokens.Value()) && !yield(tokens.Value()) {
				return
			}
		}
	}
}

func isWord(token []byte) bool {
	for _, r := range string(token) {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.So, r) {
			return true
		}
	}
	return false
}

// shingle hashes two words. xxHash64 is the same everywhere and for good, as what lies in shards must be.
func shingle(digest *xxhash.Digest, first, second []byte) uint32 {
	digest.Reset()
	// A Digest never fails.
	_, _ = digest.Write(first)
	_, _ = digest.Write([]byte{0})
	_, _ = digest.Write(second)
	return uint32(digest.Sum64() >> 32)
}

// ParseText takes a signature as it is stored. It must be what TextHash can return.
func ParseText(sketch []byte) (Text, error) {
	if len(sketch)%hashBytes != 0 || len(sketch) > hashBytes*sketchSize {
		return "", fmt.Errorf("text signature of %d bytes: it must have up to %d hashes of %d bytes", len(sketch), sketchSize, hashBytes)
	}
	for i := hashBytes; i < len(sketch); i += hashBytes {
		if binary.BigEndian.Uint32(sketch[i-hashBytes:]) >= binary.BigEndian.Uint32(sketch[i:]) {
			return "", fmt.Errorf("text signature: hash %d does not ascend", i/hashBytes)
		}
	}
	return Text(sketch), nil
}

func (t Text) len() int { return len(t) / hashBytes }

func (t Text) hash(i int) uint32 {
	b := t[hashBytes*i : hashBytes*i+hashBytes]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// Similarity is the Jaccard similarity of two texts' word pairs, 0 to 1: exact when both have fewer than 64, else estimated from
// the 64 smallest hashes of their union. Two texts without words are equal; a text without words is like no other.
func Similarity(a, b Text) float64 {
	similarity, _ := similar(a, b, 0)
	return similarity
}

// similar is Similarity for those who only ask whether it is at least so much: it gives up as soon as it can't be.
func similar(a, b Text, atLeast float64) (similarity float64, ok bool) {
	if a == b {
		return 1, true
	}
	// With n hashes in all, m of them unshared, the similarity is (n−m)/(n+m).
	most := a.len() + b.len()
	unshared := float64(most) * (1 - atLeast) / (1 + atLeast)
	if max(a.len(), b.len()) == sketchSize {
		// A full sketch may be a cut one, and then only the smallest hashes of the union are known.
		most = sketchSize
		unshared = sketchSize * (1 - atLeast)
	}
	shared, union := 0, 0
	for i, j := 0, 0; union < most && (i < a.len() || j < b.len()); union++ {
		switch {
		case j == b.len() || i < a.len() && a.hash(i) < b.hash(j):
			i++
		case i == a.len() || a.hash(i) > b.hash(j):
			j++
		default:
			shared++
			i++
			j++
		}
		// union lacks this step, so that a bound that was rounded down still lets what is exactly at it pass.
		if float64(union-shared) > unshared {
			return 0, false
		}
	}
	similarity = float64(shared) / float64(union)
	return similarity, similarity >= atLeast
}
