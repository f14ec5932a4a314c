// Package inspecttest writes small data sets for tests, as a collector would.
package inspecttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/pipeline/collector/duplicates"
	"github.com/itrstream/itrstream/schemas"
)

// Began is when the data sets begin: each row is collected a minute after the one before.
var Began = time.Date(2026, 11, 22, 23, 50, 0, 0, time.UTC)

// Rows makes rows, each with a picture of its own: relations in turn, three of four by rate with a probability of 0.1, the others by a
// rule; English, German, both, and no language.
func Rows(t testing.TB, count int) []dataset.Row {
	t.Helper()
	rows := make([]dataset.Row, count)
	for i := range rows {
		picture := Picture(t, i)
		sum := sha256.Sum256(picture)
		text := fmt.Sprintf("Post %d shows stripes", i)
		signature, err := duplicates.Sign(picture, text, pixels.Limits{MaxBytes: 1 << 24, MaxPixels: 1 << 24, MaxSide: 1 << 13})
		require.NoError(t, err)
		chosen := schemas.Selected{Reason: "rate", Probability: 0.1}
		if i%4 == 3 {
			chosen = schemas.Selected{Reason: "rule:kept", Probability: 1}
		}
		hash := int64(signature.Image) //nolint:gosec // the same 64 bits
		rows[i] = dataset.Row{
			Collected: schemas.Collected{
				Schema: "collected.v1", ResultID: fmt.Sprintf("result-%d", i), PostID: fmt.Sprintf("post-%d", i), Source: "example",
				Langs: [][]string{{"en"}, {"de"}, {"en", "de"}, nil}[i%4], Text: text, License: []string{"", "CC-BY-4.0"}[i%2],
				Image:    schemas.CollectedImage{Digest: hex.EncodeToString(sum[:]), Bytes: int64(len(picture)), MIME: "image/jpeg"},
				Relation: schemas.RelationNames()[i%schemas.Relations], Scores: [schemas.Relations]float64{0.25, 0.25, 0.25, 0.25},
				TextIsRepresented: 0.5, ImageAdds: 0.5, Selected: chosen,
				Model: schemas.ModelRef{Name: "itr-mini", Version: "1.0.0", Digest: "sha256:0"}, ConfigDigest: "c",
				Input: schemas.Input{Topic: "posts", Offset: int64(i)}, CollectedAt: Began.Add(time.Duration(i) * time.Minute),
			},
			Image: picture, ImageHash: &hash, TextHash: []byte(signature.Text),
		}
	}
	return rows
}

// Picture is a JPEG of stripes, finer with each number.
func Picture(t testing.TB, number int) []byte {
	t.Helper()
	im := image.NewRGBA(image.Rect(0, 0, 120, 90))
	for y := range im.Rect.Dy() {
		for x := range im.Rect.Dx() {
			wave := uint8(127 + 127*math.Sin(float64(x*(number%7+1)+y*(number/7+1))/20))
			im.SetRGBA(x, y, color.RGBA{R: wave, G: 255 - wave, B: uint8(2 * y), A: 255})
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, im, nil))
	return out.Bytes()
}

// Write makes a data set in a folder: rows go to partitions 0 and 1 of a topic in turn, perShard to a shard, and the last offset
// of each partition is that of a duplicate.
func Write(t testing.TB, dir string, rows []dataset.Row, perShard int) {
	t.Helper()
	f, err := dataset.Open(t.Context(), Address(dir))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	for id := range int32(2) {
		chain, err := f.Begin(t.Context(), schemas.Partition{Topic: "collected", ID: id}, "cluster", 0)
		require.NoError(t, err)
		var own []dataset.Row
		for i := int(id); i < len(rows); i += 2 {
			own = append(own, rows[i])
		}
		for at := 0; at < len(own); at += perShard {
			draft, err := dataset.NewDraft(memory.DefaultAllocator)
			require.NoError(t, err)
			some := own[at:min(at+perShard, len(own))]
			for i := range some {
				require.NoError(t, draft.Add(&some[i]))
			}
			_, err = chain.Append(t.Context(), draft, chain.End()+int64(len(some)), dataset.Entry{}, some[len(some)-1].Collected.CollectedAt)
			require.NoError(t, err)
			require.NoError(t, draft.Discard())
		}
		about := dataset.Entry{Dropped: map[string]int64{"duplicate": 1}}
		_, err = chain.Append(t.Context(), nil, chain.End()+1, about, Began.Add(time.Duration(len(rows))*time.Minute))
		require.NoError(t, err)
	}
	_, err = f.WriteManifest(t.Context())
	require.NoError(t, err)
}

// Address is a folder as package bucket names it.
func Address(dir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
}
