package kafka

import (
	"encoding/binary"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// fetchBody is a version 11 answer about posts/3 with two aborted
// transactions and records.
func fetchBody(records []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 7) // throttle
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint32(b, 0) // session
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(binary.BigEndian.AppendUint16(b, 5), "posts"...)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 3)   // partition
	b = binary.BigEndian.AppendUint16(b, 6)   // error
	b = binary.BigEndian.AppendUint64(b, 100) // high watermark
	b = binary.BigEndian.AppendUint64(b, 90)  // last stable
	b = binary.BigEndian.AppendUint64(b, 10)  // log start
	b = binary.BigEndian.AppendUint32(b, 2)
	for _, n := range []uint64{11, 20, 12, 30} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, 1<<32-1) // preferred replica
	b = binary.BigEndian.AppendUint32(b, uint32(len(records)))
	return append(b, records...)
}

func TestParseFetch(t *testing.T) {
	t.Parallel()
	whole := fetchBody([]byte("records"))
	a, err := parseFetch(whole, 11)
	require.NoError(t, err)
	require.Equal(t, fetchAnswer{
		topic: "posts", partition: 3, partCode: 6, lastStable: 90,
		aborted: []abortedTxn{{11, 20}, {12, 30}}, records: []byte("records"),
	}, a)
	for n := range whole {
		_, err := parseFetch(whole[:n], 11)
		require.Error(t, err, "%d of %d bytes", n, len(whole))
	}
}

// offsetBody is a version 7 answer about posts/3, and in/0 beside it.
func offsetBody(code byte) []byte {
	b := []byte{0, 0, 0, 0, 7, 3} // no tags, throttle, two topics
	b = append(append(b, 6), "posts"...)
	b = append(b, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 1)
	b = append(append(b, 5), "meta"...)
	b = append(b, 0, code, 1, 9, 2, 'x', 'y', 0) // an unknown tag
	b = append(append(b, 3), "in"...)
	b = append(b, 2, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0)
	return append(b, 0, 0, 0)
}

func TestParseOffsetFetch(t *testing.T) {
	t.Parallel()
	at := schemas.Partition{Topic: "posts", ID: 3}
	a, err := parseOffsetFetch(offsetBody(0), at)
	require.NoError(t, err)
	require.Equal(t, offsetAnswer{offset: 42, metadata: "meta"}, a)
	a, err = parseOffsetFetch(offsetBody(88), at)
	require.NoError(t, err)
	require.Equal(t, kafkago.UnstableOffsetCommit, a.code)
	a, err = parseOffsetFetch(offsetBody(0), schemas.Partition{Topic: "in"})
	require.NoError(t, err)
	require.Equal(t, offsetAnswer{offset: -1}, a)
	_, err = parseOffsetFetch(offsetBody(0), schemas.Partition{Topic: "in", ID: 1})
	require.ErrorContains(t, err, "left in/1 out")
	whole := offsetBody(0)
	for n := range len(whole) - 1 { // the last byte counts tags that we do not read
		_, err := parseOffsetFetch(whole[:n], at)
		require.Error(t, err, "%d of %d bytes", n, len(whole))
	}
	refused, err := parseOffsetFetch([]byte{0, 0, 0, 0, 0, 1, 0, 30, 0}, at)
	require.NoError(t, err)
	require.Equal(t, kafkago.GroupAuthorizationFailed, refused.code)
}

func FuzzParseOffsetFetch(f *testing.F) {
	f.Add(offsetBody(0))
	f.Add(offsetBody(88))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseOffsetFetch(b, schemas.Partition{Topic: "posts", ID: 3})
		if err == nil && (a.offset < -1 || len(a.metadata) > len(b)) {
			t.Fatalf("%+v out of %d bytes", a, len(b))
		}
	})
}

func TestParseHeartbeat(t *testing.T) {
	t.Parallel()
	code, err := parseHeartbeat([]byte{0, 22}, 0)
	require.NoError(t, err)
	require.Equal(t, int16(22), code)
	code, err = parseHeartbeat([]byte{0, 0, 1, 0, 0, 27}, 3)
	require.NoError(t, err)
	require.Equal(t, int16(27), code)
	_, err = parseHeartbeat([]byte{0, 0, 1, 0, 0}, 1)
	require.Error(t, err)
}

func FuzzParseFetch(f *testing.F) {
	for v := int16(minFetchVersion); v <= maxFetchVersion; v++ {
		f.Add(fetchBody([]byte("records")), v)
	}
	f.Fuzz(func(t *testing.T, b []byte, version int16) {
		a, err := parseFetch(b, version)
		if err == nil && len(a.records)+16*len(a.aborted) > len(b) {
			t.Fatalf("%d bytes of records and %d transactions out of %d bytes", len(a.records), len(a.aborted), len(b))
		}
	})
}
