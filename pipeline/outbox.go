package pipeline

import (
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// outbox holds the records that leave for a batch. What they consist of lies
// in a few large pieces of memory, not in small ones of each record's own; the rest
// they borrow from the batch.
type outbox struct {
	records []kafka.Record

	batch   *schemas.Batch
	results *schemas.Results
	keys    *array.Binary
	authors *array.String

	headers []kafka.Header
	bytes   []byte
}

func newOutbox(b *schemas.Batch, m schemas.ResultMeta) *outbox {
	rows := int(b.Posts().NumRows())
	return &outbox{
		records: make([]kafka.Record, 0, rows+len(b.Events)),
		batch:   b,
		results: schemas.ResultsOf(b, m),
		keys:    schemas.Col[*array.Binary](b.Posts(), schemas.RecordKey),
		authors: schemas.Col[*array.String](b.Posts(), schemas.PostAuthor),
		headers: make([]kafka.Header, 0, 2*rows),
	}
}

func (o *outbox) add(r kafka.Record) { o.records = append(o.records, r) }

// twoHeaders has room for two headers of a row.
func (o *outbox) twoHeaders() []kafka.Header {
	at := len(o.headers)
	o.headers = o.headers[:at+2]
	return o.headers[at:at:len(o.headers)]
}

// reserve begins a new piece unless there is room for n bytes.
func (o *outbox) reserve(n int) {
	const piece = 64 << 10
	if cap(o.bytes)-len(o.bytes) < n {
		o.bytes = make([]byte, 0, max(n, min(piece, n*cap(o.records))))
	}
}

func (o *outbox) text(s string) []byte {
	o.reserve(len(s))
	at := len(o.bytes)
	o.bytes = append(o.bytes, s...)
	return o.bytes[at:len(o.bytes):len(o.bytes)]
}

func (o *outbox) json(r *schemas.Result) (value []byte, err error) {
	const others = 1 << 10 // bytes beside the text, of most results; longer ones cost a copy
	o.reserve(len(r.Text) + others*(1+len(r.Pairs)))
	at := len(o.bytes)
	if o.bytes, err = schemas.AppendResult(o.bytes, r); err != nil {
		return nil, err
	}
	return o.bytes[at:len(o.bytes):len(o.bytes)], nil
}
