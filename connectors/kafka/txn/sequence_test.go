package txn

import (
	"math"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/kafka/recordset"
	"github.com/itrstream/itrstream/schemas"
)

func TestSequencesComeRound(t *testing.T) {
	t.Parallel()
	require.Equal(t, int32(7), advance(4, 3))
	require.Equal(t, int32(math.MaxInt32), advance(math.MaxInt32-1, 1))
	require.Equal(t, int32(0), advance(math.MaxInt32, 1))
	require.Equal(t, int32(2), advance(math.MaxInt32-1, 4))
}

func TestEachPartitionHasItsSequence(t *testing.T) {
	t.Parallel()
	p := &Producer{id: "id", producerID: 5, epoch: 3, sequences: map[schemas.Partition]int32{}}
	one, two := schemas.Partition{Topic: "a"}, schemas.Partition{Topic: "a", ID: 1}
	p.Sent(one, 3)
	p.Sent(one, 4)
	p.Sent(two, 1)
	require.Equal(t, recordset.Options{Compression: compress.Lz4, Transactional: true, ProducerID: 5, Epoch: 3, Sequence: 7}, p.Options(one, compress.Lz4))
	require.Equal(t, int32(1), p.Options(two, 0).Sequence)
}

func TestNoProducerIsPlain(t *testing.T) {
	t.Parallel()
	var p *Producer
	p.Sent(schemas.Partition{}, 1)
	require.Equal(t, recordset.Plain(compress.Zstd), p.Options(schemas.Partition{}, compress.Zstd))
	require.Empty(t, p.ID())
}

func TestNames(t *testing.T) {
	t.Parallel()
	for code, want := range map[kafkago.Error]string{
		90: "PRODUCER_FENCED", 47: "INVALID_PRODUCER_EPOCH", 48: "INVALID_TXN_STATE", 51: "CONCURRENT_TRANSACTIONS",
		14: "COORDINATOR_LOAD_IN_PROGRESS", 16: "NOT_COORDINATOR", 120: "TRANSACTION_ABORTABLE", 32000: "UNKNOWN",
	} {
		require.Equal(t, want, Name(code))
	}
}
