package kafka

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
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
