package pipeline

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
)

// Headers of W3C Trace Context, which say what trace a record is part of.
const (
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"

	// Longer ones count as malformed: a later version's traceparent may have any
	// length, a tracestate any number of commas, and both go into every record
	// that comes of a post. A tracestate has 32 members of 513 bytes at most.
	maxTraceParent = 256
	maxTraceState  = 32*514 - 1
)

// traceHeaders returns the trace headers of an input record, the last of each
// name as they came, and what they mean. What is malformed is left out, as if it
// had not been there.
func traceHeaders(ctx context.Context, b *schemas.Batch, row int) ([]kafka.Header, trace.SpanContext) {
	var parent, state *kafka.Header
	headers := kafka.HeadersAt(b, row)
	for i := range headers {
		switch headers[i].Key {
		case headerTraceParent:
			parent = &headers[i]
		case headerTraceState:
			state = &headers[i]
		}
	}
	if parent == nil || len(parent.Value) > maxTraceParent {
		return nil, trace.SpanContext{}
	}
	if state != nil && len(state.Value) > maxTraceState {
		state = nil
	}
	carrier := propagation.MapCarrier{headerTraceParent: string(parent.Value)}
	if state != nil {
		carrier[headerTraceState] = string(state.Value)
	}
	meaning := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, carrier))
	if !meaning.IsValid() {
		return nil, meaning
	}
	kept := []kafka.Header{*parent}
	if state != nil && meaning.TraceState().Len() > 0 {
		kept = append(kept, *state)
	}
	return kept, meaning
}

// journey is the traces that the posts of a batch are part of.
//
// With a tracer each post has a span, a child of what the post's record says,
// and whatever comes of the post continues from there. A batch with a sampled post has a
// span too, with one below it for each stage; they and the posts' spans are linked. Without a
// tracer there are no spans, and what comes of a post continues from where the
// post did.
type journey struct {
	tracer *ops.Tracer
	batch  *schemas.Batch
	posts  []trace.Span // none without a tracer
	// headers are those of what comes of each post; nil when there are none.
	headers [][]kafka.Header
}

// newJourney begins the spans of posts that are about to be emitted.
func newJourney(ctx context.Context, t *ops.Tracer, b *schemas.Batch) *journey {
	j := &journey{tracer: t, batch: b}
	if t == nil && schemas.Col[*array.List](b.Posts(), schemas.RecordHeaders).ListValues().Len() == 0 {
		return j
	}
	rows := int(b.Posts().NumRows())
	j.headers = make([][]kafka.Header, rows)
	offsets := schemas.Col[*array.Int64](b.Posts(), schemas.RecordOffset)
	for row := range rows {
		came, from := traceHeaders(ctx, b, row)
		if t == nil {
			j.headers[row] = came
			continue
		}
		parent := ctx
		if from.IsValid() {
			parent = trace.ContextWithRemoteSpanContext(ctx, from)
		}
		within, post := t.Start(parent, "label post", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(b.Fetched))
		if post.IsRecording() {
			post.SetAttributes(append(source(b), attribute.Int64("messaging.kafka.offset", offsets.Value(row)))...)
		}
		if from.IsValid() || post.IsRecording() {
			j.headers[row] = injected(within)
		}
		j.posts = append(j.posts, post)
	}
	return j
}

// injected are the headers that name the span of ctx.
func injected(ctx context.Context) []kafka.Header {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	var headers []kafka.Header
	for _, name := range []string{headerTraceParent, headerTraceState} {
		if value := carrier[name]; value != "" {
			headers = append(headers, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	return headers
}

// source are the attributes that say where a batch comes from.
func source(b *schemas.Batch) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.destination.name", b.Partition.Topic),
		attribute.Int("messaging.destination.partition.id", int(b.Partition.ID)),
	}
}

// end ends the spans, after the batch was committed, or was not for the reason
// of err.
func (j *journey) end(ctx context.Context, windows []window, over time.Time, err error) {
	var links []trace.Link
	for _, p := range j.posts {
		if p.IsRecording() {
			links = append(links, trace.Link{SpanContext: p.SpanContext()})
		}
	}
	if len(links) == 0 {
		return
	}
	b := j.batch
	ctx, whole := j.tracer.Start(ctx, "label batch", trace.WithNewRoot(), trace.WithLinks(links...),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(b.Fetched), trace.WithAttributes(append(source(b),
			attribute.Int("messaging.batch.message_count", len(j.posts)),
			attribute.Int64("itrstream.offsets.first", b.Offsets.First), attribute.Int64("itrstream.offsets.end", b.Offsets.End),
		)...))
	for _, w := range windows {
		_, s := j.tracer.Start(ctx, w.stage, trace.WithTimestamp(w.began))
		s.End(trace.WithTimestamp(w.began.Add(w.took)))
	}
	if err != nil {
		whole.SetStatus(codes.Error, err.Error())
	}
	for row, p := range j.posts {
		if !p.IsRecording() {
			continue
		}
		p.AddLink(trace.Link{SpanContext: whole.SpanContext()})
		p.SetAttributes(attribute.String("itrstream.outcome", string(schemas.OutcomeAt(b, row))))
		if why, rejected := b.Rejected(row); rejected {
			p.SetStatus(codes.Error, why.Stage+": "+string(why.Reason))
		} else if err != nil {
			p.SetStatus(codes.Error, "not committed; it is read again")
		}
		p.End(trace.WithTimestamp(over))
	}
	whole.End(trace.WithTimestamp(over))
}

// carry gives the records that come of a post the post's trace.
func (j *journey) carry(row int, records []kafka.Record) {
	if j.headers == nil || len(j.headers[row]) == 0 {
		return
	}
	for i := range records {
		records[i].Headers = slices.Concat(records[i].Headers, j.headers[row])
	}
}
