package recordset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const roomy = 1 << 20

// reseal makes a batch that was edited pass its CRC.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-lengthCovered))
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], castagnoli))
	return b
}

func encode(tb testing.TB, o Options, records ...Record) []byte {
	tb.Helper()
	b, err := Encode(nil, o, records)
	require.NoError(tb, err)
	return b
}

func split(tb testing.TB, set []byte) Batch {
	tb.Helper()
	b, rest, err := Split(set)
	require.NoError(tb, err)
	require.Empty(tb, rest)
	return b
}

// all copies the records of a batch, and the error that ended them.
func all(b Batch, limit int) ([]Record, error) {
	checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
	rs := b.Records(limit, checked)
	defer func() {
		rs.Close()
		if n := checked.CurrentAlloc(); n != 0 {
			panic(fmt.Sprintf("%d bytes leak", n))
		}
	}()
	var out []Record
	for {
		r, err := rs.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		var headers []Header
		for _, h := range r.Headers {
			headers = append(headers, Header{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
		r.Headers = headers
		out = append(out, r)
	}
}

var everyCodec = []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd}

// What is encoded comes out again, whatever it is and however it is packed.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	nullable := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 300))
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom(everyCodec).Draw(t, "codec")
		n := rapid.IntRange(1, 50).Draw(t, "records")
		want := make([]Record, n)
		size := Overhead
		for i := range want {
			want[i] = Record{
				Offset: int64(i),
				Time:   rapid.Int64Range(-1<<40, 1<<42).Draw(t, "time"),
				Key:    nullable.Draw(t, "key"),
				Value:  nullable.Draw(t, "value"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				want[i].Headers = append(want[i].Headers, Header{Key: rapid.String().Draw(t, "name"), Value: nullable.Draw(t, "header")})
			}
			size += Size(want[i])
		}
		o := Options{Compression: codec, Transactional: rapid.Bool().Draw(t, "txn"), ProducerID: rapid.Int64().Draw(t, "producer"), Epoch: 3, Sequence: 9}
		raw, err := Encode([]byte("before"), o, want)
		if err != nil {
			t.Fatal(err)
		}
		b, rest, err := Split(append(raw[len("before"):], "after"...))
		if err != nil {
			t.Fatal(err)
		}
		got, err := all(b, roomy)
		if err != nil {
			t.Fatal(err)
		}
		require.Equal(t, want, got)
		require.Equal(t, "after", string(rest))
		require.Equal(t, o.ProducerID, b.ProducerID)
		require.Equal(t, o.Transactional, b.Transactional())
		require.Equal(t, codec, b.Compression())
		require.False(t, b.Control())
		require.Equal(t, int64(n-1), b.Last)
		if codec == compress.None {
			require.LessOrEqual(t, len(b.Raw), size, "Size is an upper bound")
		}
	})
}

// Compaction removes records and keeps the span; the end of a batch is not
// that of its last record.
func TestCompactedBatchKeepsItsSpan(t *testing.T) {
	t.Parallel()
	raw := encode(t, Plain(compress.None), Record{Value: []byte("kept")})
	binary.BigEndian.PutUint64(raw, 40)
	binary.BigEndian.PutUint32(raw[lastDeltaAt:], 9)
	b := split(t, reseal(raw))
	require.Equal(t, int64(40), b.First)
	require.Equal(t, int64(49), b.Last)
	got, err := all(b, roomy)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, int64(40), got[0].Offset)

	empty := append([]byte(nil), raw[:headerLen]...)
	binary.BigEndian.PutUint32(empty[countAt:], 0)
	b = split(t, reseal(empty))
	got, err = all(b, roomy)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Equal(t, int64(49), b.Last)
}

func TestBrokerTimeWins(t *testing.T) {
	t.Parallel()
	raw := encode(t, Plain(compress.None), Record{Time: 1}, Record{Time: 2})
	raw[attributesAt+1] |= logAppendBit
	binary.BigEndian.PutUint64(raw[maxTimeAt:], 77)
	got, err := all(split(t, reseal(raw)), roomy)
	require.NoError(t, err)
	require.Equal(t, int64(77), got[0].Time)
	require.Equal(t, int64(77), got[1].Time)
}

func TestControlBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  byte
		abort bool
	}{{0, true}, {1, false}} {
		raw := encode(t, Options{ProducerID: 5, Transactional: true}, Record{Key: []byte{0, 0, 0, c.kind}, Value: make([]byte, 6)})
		raw[attributesAt+1] |= controlBit
		b := split(t, reseal(raw))
		require.True(t, b.Control())
		require.Equal(t, c.abort, b.Abort())
	}
	require.False(t, split(t, encode(t, Plain(compress.None), Record{Key: []byte{0, 0, 0, 0}})).Abort(), "data is no marker")
}

func TestBrokenBatches(t *testing.T) {
	t.Parallel()
	whole := encode(t, Plain(compress.None), Record{Value: []byte("value")}, Record{Value: []byte("value")})
	edit := func(f func(b []byte)) []byte {
		b := bytes.Clone(whole)
		f(b)
		return b
	}
	for name, c := range map[string]struct {
		set  []byte
		want error
	}{
		"empty":        {nil, ErrPartial},
		"half a head":  {whole[:40], ErrPartial},
		"half a body":  {whole[:len(whole)-1], ErrPartial},
		"a bit flips":  {edit(func(b []byte) { b[len(b)-1] ^= 1 }), ErrCorrupt},
		"old format":   {edit(func(b []byte) { b[magicAt] = 1 }), ErrOldFormat},
		"length":       {edit(func(b []byte) { binary.BigEndian.PutUint32(b[lengthAt:], 3) }), ErrCorrupt},
		"minus length": {edit(func(b []byte) { binary.BigEndian.PutUint32(b[lengthAt:], 1<<31) }), ErrCorrupt},
		"minus span":   {reseal(edit(func(b []byte) { binary.BigEndian.PutUint32(b[lastDeltaAt:], 1<<31) })), ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Split(c.set)
			require.ErrorIs(t, err, c.want)
		})
	}
	_, _, err := Split(edit(func(b []byte) { b[magicAt] = 3 }))
	require.ErrorContains(t, err, "magic 3")
}

// payload makes a batch of one record's bytes as they are.
func payload(tb testing.TB, codec compress.Compression, count, lastDelta uint32, body []byte) Batch {
	tb.Helper()
	raw := encode(tb, Plain(compress.None), Record{})[:headerLen]
	raw[attributesAt+1] = byte(codec)
	binary.BigEndian.PutUint32(raw[countAt:], count)
	binary.BigEndian.PutUint32(raw[lastDeltaAt:], lastDelta)
	return split(tb, reseal(append(raw, body...)))
}

func record(offsetDelta int64, value string) []byte {
	r := appendRecord(nil, 0, int(offsetDelta), Record{Value: []byte(value)})
	return r
}

// What a producer may write wrong on purpose: each ends the walk with
// ErrMalformed after the records that are good.
func TestMalformedRecords(t *testing.T) {
	t.Parallel()
	good := record(0, "good")
	for name, c := range map[string]struct {
		body  []byte
		codec compress.Compression
	}{
		"ends early":          {good, 0},
		"negative length":     {append(bytes.Clone(good), 1), 0},
		"longer than there":   {append(bytes.Clone(good), 20, 0), 0},
		"offset again":        {append(bytes.Clone(good), record(0, "x")...), 0},
		"offset beyond":       {append(bytes.Clone(good), record(9, "x")...), 0},
		"endless varint":      {append(bytes.Clone(good), bytes.Repeat([]byte{0xff}, 20)...), 0},
		"key beyond record":   {append(bytes.Clone(good), 10, 0, 0, 2, 100, 0), 0},
		"headers beyond":      {append(bytes.Clone(good), 12, 0, 0, 2, 1, 1, 40), 0},
		"minus headers":       {append(bytes.Clone(good), 12, 0, 0, 2, 1, 1, 1), 0},
		"huge, and not there": {append(bytes.Clone(good), binary.AppendVarint(nil, 1<<40)...), 0},
		"gzip of nothing":     {good, compress.Gzip},
		"snappy of nothing":   {[]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, compress.Snappy},
		"lz4 of nothing":      {good, compress.Lz4},
		"zstd of nothing":     {good, compress.Zstd},
		"no such codec":       {good, 7},
		"zstd window":         {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0, 0}, compress.Zstd},
		"xerial block length": {append(append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1), 0x7f, 0xff, 0xff, 0xff, 1), compress.Snappy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := all(payload(t, c.codec, 2, 5, c.body), roomy)
			require.ErrorIs(t, err, ErrMalformed)
			if c.codec == 0 {
				require.Len(t, got, 1)
				require.Equal(t, "good", string(got[0].Value))
			}
		})
	}
}

// A record over the limit is cut, whatever it unpacks to, and the next one
// comes out whole.
func TestLongRecordsAreCut(t *testing.T) {
	t.Parallel()
	for _, codec := range everyCodec {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat("0123456789", 1<<20)
			raw := encode(t, Plain(codec),
				Record{Key: []byte("key"), Value: []byte(long), Headers: []Header{{Key: "h"}}},
				Record{Key: []byte(long), Value: []byte(long)},
				Record{Key: []byte("next"), Headers: []Header{{Key: "h"}}})
			got, err := all(split(t, raw), 1000)
			require.NoError(t, err)
			require.Len(t, got, 3)
			require.Equal(t, "key", string(got[0].Key))
			require.Equal(t, long[:997], string(got[0].Value))
			require.Empty(t, got[0].Headers)
			require.Greater(t, got[0].Cut, int64(len(long)))
			require.Equal(t, long[:500], string(got[1].Key))
			require.Equal(t, long[:500], string(got[1].Value))
			require.Equal(t, Record{Offset: 2, Key: []byte("next"), Headers: []Header{{Key: "h"}}}, got[2])
		})
	}
}

// librdkafka writes one bare block where Java frames many.
func TestBareSnappy(t *testing.T) {
	t.Parallel()
	got, err := all(payload(t, compress.Snappy, 1, 0, snappy.Encode(nil, record(0, "bare"))), roomy)
	require.NoError(t, err)
	require.Equal(t, "bare", string(got[0].Value))
}

// A codec gets only so much memory, however honest the batch is.
func TestCodecsAreBounded(t *testing.T) {
	t.Parallel()
	body := record(0, strings.Repeat("x", maxSnappyBlock))
	_, err := all(payload(t, compress.Snappy, 1, 0, snappy.Encode(nil, body)), roomy)
	require.ErrorIs(t, err, ErrMalformed)
	require.ErrorContains(t, err, "bytes, 67108864 are allowed")

	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(2*maxWindow), zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	_, err = w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = all(payload(t, compress.Zstd, 1, 0, packed.Bytes()), roomy)
	require.ErrorIs(t, err, ErrMalformed)
	require.ErrorContains(t, err, "window size exceeded")
}

func FuzzSplit(f *testing.F) {
	for _, codec := range everyCodec {
		f.Add(encode(f, Plain(codec), Record{Key: []byte("k"), Value: []byte("v"), Headers: []Header{{Key: "h", Value: []byte("x")}}}, Record{}))
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		if len(set) >= headerLen {
			set = reseal(bytes.Clone(set)) // the CRC is not what is tested
		}
		b, _, err := Split(set)
		if err != nil {
			return
		}
		last := b.First - 1
		got, err := all(b, 1<<10)
		for _, r := range got {
			if r.Offset <= last || r.Offset > b.Last {
				t.Fatalf("offset %d after %d, batch ends at %d", r.Offset, last, b.Last)
			}
			if len(r.Key)+len(r.Value) > 1<<10 {
				t.Fatalf("%d bytes are over the limit", len(r.Key)+len(r.Value))
			}
			last = r.Offset
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("unexpected kind of error: %v", err)
		}
		b.Abort()
	})
}
