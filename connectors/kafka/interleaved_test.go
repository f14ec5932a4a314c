package kafka_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// checkInterleaved has many transactions of several producers overlap, some
// aborted, and reads them by small responses from many places: what is missing
// is what was aborted.
func checkInterleaved(t *testing.T, addrs []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 12))
	cfg := config(addrs)
	cfg.FetchMaxBytes = 2 << 10
	c := dial(t, cfg)
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "mixed", Partitions: 1}}, true)
	require.NoError(t, err)
	type record struct {
		offset int64
		value  string
	}
	open := make(map[int][]record)
	var writers []*kgo.Client
	for i := range 4 {
		writers = append(writers, other(t, addrs, kgo.TransactionalID(fmt.Sprintf("mixed-%d", i))))
	}
	var want []record
	aborts := 0
	for n := range 120 {
		i := r.IntN(len(writers))
		pending, begun := open[i]
		if begun && r.IntN(3) == 0 {
			commit := r.IntN(2) == 0
			require.NoError(t, writers[i].EndTransaction(t.Context(), kgo.TransactionEndTry(commit)))
			if commit {
				want = append(want, pending...)
			} else {
				aborts++
			}
			delete(open, i)
			continue
		}
		if !begun {
			require.NoError(t, writers[i].BeginTransaction())
		}
		for j := range 1 + r.IntN(3) {
			sent, err := writers[i].ProduceSync(t.Context(), kgoRecord("mixed", 0, fmt.Sprintf("%d.%d %s", n, j, strings.Repeat(".", r.IntN(300))))).First()
			require.NoError(t, err)
			pending = append(pending, record{sent.Offset, string(sent.Value)})
		}
		open[i] = pending
	}
	for i, pending := range open {
		require.NoError(t, writers[i].EndTransaction(t.Context(), kgo.TryCommit))
		want = append(want, pending...)
	}
	require.Greater(t, aborts, 5)
	slices.SortFunc(want, func(a, b record) int { return cmp.Compare(a.offset, b.offset) })
	last := want[len(want)-1].offset
	p := schemas.Partition{Topic: "mixed"}
	for _, from := range []int64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89} {
		f := c.NewFetcher(p, memory.NewGoAllocator(), kafka.Limits{MaxRows: 1 + r.IntN(20), MaxBytes: 1 << 20})
		var got []record
		for _, row := range readTo(t, f, from, last+1) {
			if row.offset <= last {
				got = append(got, record{row.offset, row.value})
			}
		}
		first := slices.IndexFunc(want, func(w record) bool { return w.offset >= from })
		require.Equal(t, want[first:], got, "from offset %d", from)
	}
}

func TestInterleavedTransactions(t *testing.T) {
	t.Parallel()
	checkInterleaved(t, fake(t).ListenAddrs())
}
