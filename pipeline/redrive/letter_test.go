package redrive

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// Whatever a producer wrote, a dead letter gives it back as it was, through
// any number of attempts, and is never taken for a mark.
func FuzzParse(f *testing.F) {
	f.Add("h", []byte("v"), schemas.HeaderReason, []byte("x"), "malformed", int32(1), int64(7), 2)
	f.Add(schemas.HeaderRedriveAttempt, []byte("1"), schemas.HeaderRedriveOf, []byte("deadletter/0/1"), "", int32(0), int64(0), 1)
	f.Add(schemas.HeaderRedriven, []byte("00112233445566778899aabbccddeeff"), kafka.HeaderCut, []byte("5"), "r", int32(9), int64(1), 3)
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte, reason string, partition int32, offset int64, times int) {
		own := []kafka.Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}}
		if _, forged := attemptsOf(own); forged {
			own = own[:1] // such headers are ours, whoever wrote them
		}
		headers := own
		for attempt := range min(max(times, 1), 4) {
			r := record{
				partition: schemas.Partition{Topic: "deadletter", ID: 1}, offset: int64(attempt), value: v1,
				headers: append(headers[:len(headers):len(headers)],
					kafka.Header{Key: schemas.HeaderReason, Value: []byte(reason)}, kafka.Header{Key: schemas.HeaderDetail}, kafka.Header{Key: schemas.HeaderStage},
					kafka.Header{Key: schemas.HeaderSourceTopic, Value: []byte("posts")},
					kafka.Header{Key: schemas.HeaderSourcePartition, Value: strconv.AppendInt(nil, int64(partition), 10)},
					kafka.Header{Key: schemas.HeaderSourceOffset, Value: strconv.AppendInt(nil, offset, 10)}),
			}
			_, isMark := parseMark(r)
			require.False(t, isMark)
			l, ok := parse(r)
			require.True(t, ok)
			require.Equal(t, own, l.original)
			require.Equal(t, attempt, l.attempts)
			require.Equal(t, reason, l.reason)
			require.Equal(t, schemas.Partition{Topic: "posts", ID: partition}, l.source)
			require.Equal(t, offset, l.sourceOffset)
			headers = l.back(l.source).Headers

			m, isMark := parseMark(record{headers: l.sent().Headers})
			require.True(t, isMark)
			require.Equal(t, l.mark(), m)
		}
	})
}

func attemptsOf(headers []kafka.Header) (int, bool) {
	n := len(headers) - 2
	if headers[n].Key != schemas.HeaderRedriveAttempt || headers[n+1].Key != schemas.HeaderRedriveOf {
		return 0, false
	}
	v, err := strconv.ParseUint(string(headers[n].Value), 10, 31)
	return int(v), err == nil
}

// Letters differ when their origin or their value does, and only then.
func TestMark(t *testing.T) {
	t.Parallel()
	base := letter{record: record{value: []byte("v")}, source: schemas.Partition{Topic: "posts", ID: 1}, sourceOffset: 7}
	same := base
	same.reason, same.offset = "other", 99
	require.Equal(t, base.mark(), same.mark())
	for _, change := range []func(*letter){
		func(l *letter) { l.value = []byte("w") },
		func(l *letter) { l.source.Topic = "post" },
		func(l *letter) { l.source.ID = 2 },
		func(l *letter) { l.sourceOffset = 8 },
		func(l *letter) { l.source.Topic, l.value = "postsv", nil },
	} {
		other := base
		change(&other)
		require.NotEqual(t, base.mark(), other.mark())
	}
}
