package collect

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/itrstream/itrstream/schemas"
)

// Reasons of a choice beside rule:<name>: what adds most to its probability.
const (
	ReasonRate          = "rate"
	ReasonLowConfidence = "low_confidence"
	ReasonNovel         = "novel"
	ruleReason          = "rule:"
)

// draw gives each pair of each result its own number in [0, 1), always the
// same: a pair is chosen when that is below its probability.
func draw(resultID string, pair int) float64 {
	text := binary.BigEndian.AppendUint32([]byte("collect"+resultID), uint32(pair)) //nolint:gosec // an index in a post
	sum := sha256.Sum256(text)
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}

// chance is the probability of a labelled pair of a post with the given rate,
// and what adds most to it. The conversions keep every machine at the same
// rounding.
func (c Config) chance(rate float64, p *schemas.Pair) schemas.Selected {
	low := float64(c.LowConfidenceWeight * (1 - p.Confidence))
	novel := 0.0
	if p.Novel != nil && *p.Novel {
		novel = c.NoveltyWeight
	}
	reason, most := ReasonRate, 1.0
	if low > most {
		reason, most = ReasonLowConfidence, low
	}
	if novel > most {
		reason = ReasonNovel
	}
	return schemas.Selected{Reason: reason, Probability: min(1, float64(rate*(1+low+novel)))}
}

// most is above every probability that chance can give.
func (c Config) most(rate float64) float64 {
	return c.chance(rate, &schemas.Pair{Novel: new(true)}).Probability
}
