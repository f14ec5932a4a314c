package cluster

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

func exampleRow() *row {
	r := &row{
		mean: []float32{0.5, -0.25, 1}, weight: 12.5, s2: 3.25, s4: 1.5,
		labels: [schemas.Relations]float64{1, 2, 3, 6.5}, touched: 1000,
		count: 77, checksum: 0xfedcba9876543210, reported: 1_790_000_000_000,
		nearest: []representative{{post: "at://did:plc:x/app.bsky.feed.post/1", distance: 0.125, at: 990}, {post: "ü", distance: 0.5, at: 1000}},
	}
	for i := range r.tag {
		r.tag[i] = byte(0xa0 + i)
	}
	return r
}

func exampleRecord() *record {
	return &record{
		span: schemas.OffsetRange{First: 100, End: 130}, centroids: 41, alarm: window{pairs: 3, novel: 1, streak: 1},
		entries: []entry{
			{key: pairKey{100, 0}, cluster: "aaaa", distance: 0.25},
			{key: pairKey{100, 1}, cluster: "bbbb", distance: 0.5, novel: true},
			{key: pairKey{129, 3}},
			{key: pairKey{129, 4}, cluster: "aaaa", distance: 0.75},
		},
		events: []schemas.ClusterEvent{{Schema: schemas.ClusterSchema, Type: "alarm", Cluster: "bbbb", Novel: 0.5}},
	}
}

// TestGolden pins what is in the store: a change has to read the old form,
// too, or lose every centroid that runs somewhere.
func TestGolden(t *testing.T) {
	t.Parallel()
	record, err := exampleRecord().encode()
	require.NoError(t, err)
	for name, encoded := range map[string][]byte{
		"row":    exampleRow().encode(),
		"totals": (&totals{tag: exampleRow().tag, count: 5, checksum: 1 << 63}).encode(),
		"member": encodeMember(&pair{x: []float32{1, 0}, label: 2, checksum: 9}),
		"record": record,
	} {
		file := filepath.Join("testdata", name+".hex")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(hex.Dump(encoded)), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), hex.Dump(encoded), "%s; go test -update rewrites it", name)
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	r, err := decodeRow(exampleRow().encode(), 3)
	require.NoError(t, err)
	require.Equal(t, exampleRow(), r)
	_, err = decodeRow(exampleRow().encode(), 4)
	require.ErrorContains(t, err, "a centroid of width 3 where the model's embeddings have 4")

	tot := &totals{tag: r.tag, count: 5, checksum: 1 << 63}
	gotTotals, err := decodeTotals(tot.encode())
	require.NoError(t, err)
	require.Equal(t, tot, gotTotals)

	for label := -1; label < schemas.Relations; label++ {
		p := &pair{x: []float32{1, 0}, label: label, checksum: 9}
		require.Len(t, encodeMember(p), memberBytes(2))
		gotPair, err := decodeMember(encodeMember(p), 2)
		require.NoError(t, err)
		require.Equal(t, p, gotPair)
	}

	b, err := exampleRecord().encode()
	require.NoError(t, err)
	gotRecord, err := decodeRecord(Recorded{Version: 42, Record: b})
	require.NoError(t, err)
	want := exampleRecord()
	want.events[0].Version, want.stored = 42, true
	require.Equal(t, want, gotRecord)
}

// TestNamedMember reads a member as earlier versions wrote it: without its name.
func TestNamedMember(t *testing.T) {
	t.Parallel()
	named := []byte("\x01\x09\x00\x00\x00\x00\x00\x00\x00\x03\x01p\x00\x00\x80\x3f\x00\x00\x00\x00")
	p, err := decodeMember(named, 2)
	require.NoError(t, err)
	require.Equal(t, &pair{x: []float32{1, 0}, label: 2, checksum: 9}, p)
}

// TestCutOff cuts every encoding at every place: an error, never half a value.
func TestCutOff(t *testing.T) {
	t.Parallel()
	row, rec := exampleRow().encode(), must(exampleRecord().encode())
	for n := range row {
		_, err := decodeRow(row[:n], 3)
		require.Error(t, err, n)
	}
	for n := range rec {
		_, err := decodeRecord(Recorded{Record: rec[:n]})
		require.Error(t, err, n)
	}
	_, err := decodeRow(append(row, 0), 3)
	require.Error(t, err)
	_, err = decodeRecord(Recorded{Record: append(rec, 0)})
	require.Error(t, err)
	_, err = decodeRow(bytes.Replace(row, []byte{0, 0, 0, 0x3f}, []byte{0, 0, 0xc0, 0x7f}, 1), 3) // 0.5 → NaN
	require.Error(t, err)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzDecode reads anything as each of the encodings. What is accepted encodes
// to something that reads the same.
func FuzzDecode(f *testing.F) {
	f.Add(exampleRow().encode())
	f.Add(must(exampleRecord().encode()))
	f.Add((&totals{count: 5}).encode())
	f.Add(encodeMember(&pair{x: []float32{1, 0, 0}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRow(b, 3); err == nil {
			require.Equal(t, b, r.encode())
		}
		if tot, err := decodeTotals(b); err == nil {
			require.Equal(t, b, tot.encode())
		}
		if p, err := decodeMember(b, 3); err == nil {
			again, err := decodeMember(encodeMember(p), 3)
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
		if r, err := decodeRecord(Recorded{Version: 1, Record: b}); err == nil && r != nil {
			encoded, err := r.encode()
			require.NoError(t, err)
			again, err := decodeRecord(Recorded{Version: 1, Record: encoded})
			require.NoError(t, err)
			require.Equal(t, r.entries, again.entries)
			require.Equal(t, r.span, again.span)
		}
	})
}
