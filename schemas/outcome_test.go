package schemas_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
)

// The golden values were computed apart from this code, with Python's hashlib.
// They must never change: consumers and centroids hold them.

func TestResultIDGolden(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "3b28c55798979df1a8c12fa52f861a26a065edb1b67eac12f621a483b42c85e9", schemas.ResultID("5L6g3nShT-eMCtK--X86sw", schemas.Partition{Topic: "posts", ID: 3}, 1<<40+7))
}

func TestPairChecksumGolden(t *testing.T) {
	t.Parallel()
	assert.Equal(t, uint64(0xa15e130f657caf61), schemas.PairChecksum(schemas.Partition{Topic: "posts", ID: 3}, 1<<40+7, 2))
}

func TestIdentitiesDiffer(t *testing.T) {
	t.Parallel()
	type identity struct {
		cluster string
		p       schemas.Partition
		offset  int64
		pair    int32
	}
	gen := rapid.Custom(func(t *rapid.T) identity {
		return identity{
			cluster: rapid.StringMatching(`[ab]{0,3}`).Draw(t, "cluster"),
			p: schemas.Partition{
				Topic: rapid.StringMatching(`[ab\x00]{0,3}`).Draw(t, "topic"),
				ID:    rapid.Int32Range(0, 2).Draw(t, "partition"),
			},
			offset: rapid.Int64Range(0, 3).Draw(t, "offset"),
			pair:   rapid.Int32Range(0, 2).Draw(t, "pair"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		sameRecord := a.cluster == b.cluster && a.p == b.p && a.offset == b.offset
		assert.Equal(t, sameRecord,
			schemas.ResultID(a.cluster, a.p, a.offset) == schemas.ResultID(b.cluster, b.p, b.offset))
		samePair := a.p == b.p && a.offset == b.offset && a.pair == b.pair
		assert.Equal(t, samePair,
			schemas.PairChecksum(a.p, a.offset, a.pair) == schemas.PairChecksum(b.p, b.offset, b.pair))
	})
}

func TestRelations(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"neither", "image_adds", "text_represented", "both"}, schemas.RelationNames())
	for r := range schemas.Relation(schemas.Relations) {
		var id schemas.Relation
		if r.TextIsRepresented() {
			id += 2
		}
		if r.ImageAdds() {
			id++
		}
		assert.Equal(t, r, id)
		assert.Equal(t, schemas.RelationNames()[r], r.String())
	}
	assert.Equal(t, "unknown", schemas.Relation(4).String())
}
