package kafka

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/itrstream/itrstream/schemas"
)

const (
	readCommitted = 1
	// Fetch v4 brought isolation levels; v11 is the last that kafka-go writes.
	// Kafka 0.11 to 4.x answer in this range.
	minFetchVersion = 4
	maxFetchVersion = 11
)

// fetchExchange is one fetch of one partition. The transport routes, encrypts
// and authenticates it like any fetch.Request; only the answer is read here,
// as bytes, for package recordset.
type fetchExchange struct {
	exchange
	request fetch.Request
	answer  fetchAnswer
}

// fetchAnswer is what a broker says about one partition.
type fetchAnswer struct {
	code       int16 // of the request
	partition  int32
	partCode   int16 // of the partition
	lastStable int64 // end of what committed readers may see
	aborted    []abortedTxn
	records    []byte // borrows from the exchange's buffer
	topic      string
}

type abortedTxn struct {
	producer, first int64
}

func newFetchExchange(x exchange, p schemas.Partition, offset int64, maxWaitMillis, maxBytes int32) *fetchExchange {
	return &fetchExchange{exchange: x, request: fetch.Request{
		ReplicaID:   -1,
		MaxWaitTime: maxWaitMillis,
		MinBytes:    1,
		// The partition's limit is the one that counts: where the request's cuts
		// an answer, kfake forgets to say which transactions were aborted.
		MaxBytes:       math.MaxInt32,
		IsolationLevel: readCommitted,
		SessionEpoch:   -1, // no fetch session: one partition a request
		Topics: []fetch.RequestTopic{{
			Topic: p.Topic,
			Partitions: []fetch.RequestPartition{{
				Partition:          p.ID,
				CurrentLeaderEpoch: -1,
				FetchOffset:        offset,
				LogStartOffset:     -1,
				PartitionMaxBytes:  maxBytes,
			}},
		}},
	}}
}

// ApiKey makes the exchange a message of kafka-go's.
func (f *fetchExchange) ApiKey() protocol.ApiKey { return protocol.Fetch } //nolint:revive // the interface's spelling

// Broker routes the exchange to the partition's leader.
func (f *fetchExchange) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	return f.request.Broker(cluster)
}

// Required makes the transport hand over its connection, and tells the
// versions that were agreed with the broker.
func (f *fetchExchange) Required(versions map[protocol.ApiKey]int16) bool {
	f.version = versions[protocol.Fetch]
	return true
}

// RawExchange writes the request and reads the answer.
func (f *fetchExchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if f.version < minFetchVersion || f.version > maxFetchVersion {
		return nil, fmt.Errorf("fetch version %d: brokers of Kafka 0.11 or later are needed", f.version)
	}
	if err := f.into.begin(); err != nil {
		return nil, err
	}
	defer f.into.end()
	body, err := f.call(rw, &f.request)
	if err != nil {
		return nil, err
	}
	f.answer, err = parseFetch(body, f.version)
	if err != nil {
		return nil, err
	}
	return f, nil
}

var errFetchFormat = errors.New("the fetch response is malformed")

// parseFetch reads the body of a fetch response, versions 4 to 11, for one
// partition.
func parseFetch(b []byte, version int16) (fetchAnswer, error) {
	d := wire{b: b}
	var a fetchAnswer
	d.int32() // throttle time: the broker delays by itself
	if version >= 7 {
		a.code = d.int16()
		d.int32() // session
	}
	for topics := d.int32(); topics > 0 && !d.failed; topics-- {
		a.topic = string(d.take(int64(d.int16())))
		for parts := d.int32(); parts > 0 && !d.failed; parts-- {
			a.partition = d.int32()
			a.partCode = d.int16()
			d.int64() // high watermark: committed readers end before it
			a.lastStable = d.int64()
			if version >= 5 {
				d.int64() // log start
			}
			a.aborted = a.aborted[:0]
			for n := d.int32(); n > 0 && !d.failed; n-- {
				a.aborted = append(a.aborted, abortedTxn{producer: d.int64(), first: d.int64()})
			}
			if version >= 11 {
				d.int32() // preferred replica: we have no rack
			}
			if n := d.int32(); n > 0 {
				a.records = d.take(int64(n))
			}
		}
	}
	if d.failed {
		return fetchAnswer{}, errFetchFormat
	}
	return a, nil
}
