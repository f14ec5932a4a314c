package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/pipeline/collector/duplicates"
)

// limits are wider than those of any pipeline that collected: what it let in must be readable here.
var limits = pixels.Limits{MaxBytes: 1 << 30, MaxPixels: 1_000_000_000, MaxSide: 65_535}

// checker looks at one shard after the other.
type checker struct {
	set     *Set
	verdict *Verdict
	taken   *dataset.Takedowns
	seen    map[[16]byte]string // where each pair is
}

func (c *checker) row(where string, r *dataset.Row) {
	fault := func(format string, args ...any) { c.verdict.fault(where, format, args...) }
	if r.Image == nil {
		fault("has no image")
	} else {
		if sum := sha256.Sum256(r.Image); hex.EncodeToString(sum[:]) != r.Collected.Image.Digest {
			fault("its image has SHA-256 %x, not its image_digest %s", sum, r.Collected.Image.Digest)
		}
		if im, err := pixels.Decode(r.Image, limits, false); err != nil {
			fault("its image can't be decoded: %s", err)
		} else {
			im.Release()
		}
	}
	if r.Collected.Relation == "" {
		fault("has no relation")
	}
	sum := 0.0
	for _, score := range r.Collected.Scores {
		sum += score
	}
	// Scores are stored as float32, and rounded in the records.
	if math.IsNaN(sum) || math.Abs(sum-1) > 0.01 {
		fault("its scores add up to %g, not 1", sum)
	}
	if p := r.Collected.Selected.Probability; !(p > 0 && p <= 1) {
		fault("its inclusion_probability is %g, not above 0 and at most 1", p)
	}
	if r.Collected.ResultID == "" || r.Collected.PostID == "" {
		fault("has no result_id or no post_id")
	}
	if _, err := duplicates.ParseText(r.TextHash); err != nil {
		fault("its text_hash is damaged: %s", err)
	}
	if c.taken != nil && c.taken.Covers(r) {
		fault("was taken down, and is still here")
	}
	id := [16]byte(hashOf(r))
	if before, twice := c.seen[id]; twice {
		fault("is the pair of %s again", before)
	}
	c.seen[id] = where
}

// hashOf tells pairs apart.
func hashOf(r *dataset.Row) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", r.Collected.ResultID, r.Collected.Pair))
	return sum[:16]
}
