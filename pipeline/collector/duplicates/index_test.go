package duplicates

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func index(t require.TestingT, cfg Config) *Index {
	x, err := New(cfg)
	require.NoError(t, err)
	return x
}

func TestBothMustBeNear(t *testing.T) {
	t.Parallel()
	x := index(t, DefaultConfig())
	kept := Signature{Image: 0xdeadbeefcafef00d, Text: TextHash(post)}
	require.True(t, x.Admit(1, kept))
	off := func(n int) uint64 { return kept.Image ^ (1<<n - 1) }
	for name, test := range map[string]struct {
		pair     Signature
		admitted bool
	}{
		"the same":               {kept, false},
		"six bits off":           {Signature{off(6), kept.Text}, false},
		"seven bits off":         {Signature{off(7), kept.Text}, true},
		"a word more":            {Signature{kept.Image, TextHash(post + " Finally!")}, false},
		"six bits, a word more":  {Signature{off(6), TextHash(post + " Finally!")}, false},
		"another text":           {Signature{kept.Image, TextHash("See you there?")}, true},
		"no text":                {Signature{kept.Image, ""}, true},
		"another image, no text": {Signature{^kept.Image, ""}, true},
	} {
		assert.Equal(t, test.admitted, x.Admit(2, test.pair), name)
		if test.admitted {
			assert.True(t, x.Forget(2, test.pair))
		}
	}
	assert.Equal(t, 1, x.Len())
}

func TestForgottenRowsAreWelcomeAgain(t *testing.T) {
	t.Parallel()
	x := index(t, DefaultConfig())
	s := Signature{Image: 7, Text: TextHash(post)}
	require.True(t, x.Admit(1, s))
	require.False(t, x.Forget(2, s), "that is another row")
	require.False(t, x.Forget(1, Signature{Image: 8, Text: s.Text}))
	require.False(t, x.Admit(2, s))
	require.True(t, x.Forget(1, s))
	require.False(t, x.Forget(1, s))
	require.Zero(t, x.Len())
	require.True(t, x.Admit(2, s))
}

func TestOff(t *testing.T) {
	t.Parallel()
	x := index(t, Config{ImageDistance: 6, TextSimilarity: 0.8})
	x.Remember(1, Signature{})
	assert.True(t, x.Admit(2, Signature{}))
	assert.True(t, x.Admit(3, Signature{}))
	assert.False(t, x.Forget(2, Signature{}))
	assert.Zero(t, x.Len())
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for key, cfg := range map[string]Config{
		"capacity":        {Capacity: -1, TextSimilarity: 0.8},
		"image_distance":  {ImageDistance: 13, TextSimilarity: 0.8},
		"text_similarity": {TextSimilarity: 0},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, key+": ")
	}
}

// naive is the index as one would describe it.
type naive struct {
	cfg  Config
	rows []naiveRow
}

type naiveRow struct {
	id        uint64
	signature Signature
	gone      bool
}

func (n *naive) has(s Signature) bool {
	return slices.ContainsFunc(n.rows, func(r naiveRow) bool {
		return !r.gone && bits.OnesCount64(r.signature.Image^s.Image) <= n.cfg.ImageDistance &&
			Similarity(r.signature.Text, s.Text) >= n.cfg.TextSimilarity
	})
}

func (n *naive) remember(id uint64, s Signature) {
	n.rows = append(n.rows, naiveRow{id: id, signature: s})
	n.rows = n.rows[max(0, len(n.rows)-n.cfg.Capacity):]
}

func (n *naive) forget(id uint64, s Signature) bool {
	for i := len(n.rows) - 1; i >= 0; i-- {
		if r := &n.rows[i]; !r.gone && r.id == id && r.signature == s {
			r.gone = true
			return true
		}
	}
	return false
}

func TestIndexAgainstAList(t *testing.T) {
	t.Parallel()
	texts := []Text{"", TextHash("one"), TextHash(post), TextHash(post + " Finally!"), TextHash("Fog over the ridge")}
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Capacity:       rapid.IntRange(1, 30).Draw(t, "capacity"),
			ImageDistance:  rapid.IntRange(0, maxDistance).Draw(t, "distance"),
			TextSimilarity: rapid.SampledFrom([]float64{0.5, 0.8, 1}).Draw(t, "similarity"),
		}
		x, list := index(t, cfg), &naive{cfg: cfg}
		seeds := rapid.SliceOfN(rapid.Uint64(), 1, 3).Draw(t, "pictures")
		signature := rapid.Custom(func(t *rapid.T) Signature {
			image := rapid.SampledFrom(seeds).Draw(t, "picture")
			for _, b := range rapid.SliceOfNDistinct(rapid.IntRange(0, 63), 0, maxDistance+2, rapid.ID).Draw(t, "bits off") {
				image ^= 1 << b
			}
			return Signature{Image: image, Text: rapid.SampledFrom(texts).Draw(t, "text")}
		})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id, s := rapid.Uint64Range(1, 5).Draw(t, "id"), signature.Draw(t, "signature")
			switch rapid.SampledFrom([]string{"admit", "admit", "remember", "forget"}).Draw(t, "step") {
			case "admit":
				want := !list.has(s)
				if want {
					list.remember(id, s)
				}
				require.Equal(t, want, x.Admit(id, s))
			case "remember":
				list.remember(id, s)
				x.Remember(id, s)
			case "forget":
				if len(list.rows) > 0 && rapid.Bool().Draw(t, "one that is there") {
					r := rapid.SampledFrom(list.rows).Draw(t, "row")
					id, s = r.id, r.signature
				}
				require.Equal(t, list.forget(id, s), x.Forget(id, s))
			}
		}
	})
}

// Thousands of texts under one picture: a look-up stays bounded, and the same post again is found all the same.
func TestViralPicture(t *testing.T) {
	t.Parallel()
	x := index(t, DefaultConfig())
	text := func(i int) Text { return TextHash(fmt.Sprintf("this is take %d on the picture of day %d", i, i)) }
	const takes = 3 * mostTexts
	for i := range takes {
		require.True(t, x.Admit(uint64(i), Signature{Image: 42, Text: text(i)}))
	}
	assert.False(t, x.Admit(0, Signature{Image: 42, Text: text(0)}), "the oldest")
	assert.False(t, x.Admit(0, Signature{Image: 43, Text: text(takes - 1)}), "among the newest, a bit off")
	assert.True(t, x.Admit(takes, Signature{Image: 43, Text: text(0)}), "beyond the bound: kept")
}

func TestNearYieldsEachHashOnce(t *testing.T) {
	t.Parallel()
	h := newHashes(12)
	var want, got []uint64
	for n := range 13 {
		want = append(want, 1<<n-1)
		h.add(1<<n - 1)
	}
	h.add(1<<13 - 1)
	for hash := range h.near(0, len(want)*bands) {
		got = append(got, hash)
	}
	slices.Sort(got)
	assert.Equal(t, want, got)
	got = nil
	for hash := range h.near(0, 3) {
		got = append(got, hash)
	}
	assert.Len(t, got, 3)
}

func TestBandsTakeEveryBitOnce(t *testing.T) {
	t.Parallel()
	for bit := range 64 {
		set := 0
		for b := range bands {
			set += bits.OnesCount16(band(1<<bit, b))
		}
		assert.Equal(t, 1, set, bit)
		assert.Equal(t, uint16(1)<<(bit/bands), band(1<<bit, bit%bands))
	}
}

// million is an index of a million posts of about 15 words, each with its own picture.
func million(b *testing.B) (*Index, *rand.Rand) {
	b.Helper()
	x := index(b, DefaultConfig())
	random := rand.New(rand.NewPCG(1, 2))
	for i := range x.cfg.Capacity {
		x.Remember(uint64(i), randomSignature(random))
	}
	return x, random
}

// randomSignature has half of its image bits set, as every pHash.
func randomSignature(random *rand.Rand) Signature {
	var s Signature
	for _, bit := range random.Perm(64)[:32] {
		s.Image |= 1 << bit
	}
	sketch := make([]byte, hashBytes*(5+random.IntN(20)))
	for i := range sketch {
		sketch[i] = byte(random.Uint32())
	}
	s.Text = Text(sketch)
	return s
}

func BenchmarkAdmit(b *testing.B) {
	before := heap()
	x, random := million(b)
	perRow := float64(heap()-before) / float64(x.Len())
	for b.Loop() {
		x.Admit(1, randomSignature(random))
	}
	b.ReportMetric(perRow, "B/row")
}

func BenchmarkAdmitUnderAViralPicture(b *testing.B) {
	x, random := million(b)
	for i := range 2 * mostTexts {
		s := randomSignature(random)
		s.Image = uint64(i % 5)
		x.Remember(uint64(i), s)
	}
	for b.Loop() {
		s := randomSignature(random)
		s.Image = 3
		x.Admit(1, s)
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func BenchmarkTextHash(b *testing.B) {
	for b.Loop() {
		TextHash(post)
	}
}
