package pipeline

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

const (
	sampledParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	droppedParent = "00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00"
)

func traced(parent, state string) []schematest.Header {
	h := []schematest.Header{{Key: "other", Value: []byte("x")}, {Key: headerTraceParent, Value: []byte(parent)}}
	if state != "" {
		h = append(h, schematest.Header{Key: headerTraceState, Value: []byte(state)})
	}
	return h
}

// postsWith returns a batch of a post for each list of headers; the last one
// is a dead letter, the one before it a delete.
func postsWith(t *testing.T, alloc memory.Allocator, headers ...[]schematest.Header) *schemas.Batch {
	t.Helper()
	records, posts := make([]schematest.Record, len(headers)), make([]string, len(headers))
	for i, h := range headers {
		records[i] = schematest.Record{Offset: int64(i), Value: []byte("v"), Headers: h}
		posts[i] = `{"post_op":"create","post_id":"p"}`
	}
	posts[len(posts)-2] = `{"post_op":"delete","post_id":"p"}`
	b := schematest.NewBatch(t, alloc, records...)
	schematest.AddPosts(t, alloc, b, schemas.PostFields(), posts...)
	b.SetPairs(schematest.Rows(t, alloc, schemas.PairFields()))
	schematest.AddPosts(t, alloc, b, schemas.DecideFields(), append([]string{`{"post_decisions":[{"rule":"a","topic":"review"},{"rule":"b","topic":"moderation"}]}`},
		slices.Repeat([]string{`{}`}, len(headers)-1)...)...)
	b.Reject(len(headers)-1, schemas.Reject{Stage: stageDecode, Reason: schemas.ReasonMalformed})
	return b
}

// tracesOf returns the trace headers of a record as one text.
func tracesOf(r kafka.Record) string {
	var found []string
	for _, h := range r.Headers {
		if h.Key == headerTraceParent || h.Key == headerTraceState {
			found = append(found, string(h.Value))
		}
	}
	return strings.Join(found, " ")
}

func TestWithoutATracerATraceIsHandedOnAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []schematest.Header
		want    string
	}{
		"none":                      {nil, ""},
		"sampled":                   {traced(sampledParent, ""), sampledParent},
		"not sampled":               {traced(droppedParent, ""), droppedParent},
		"with a state":              {traced(sampledParent, "a=1, b=2"), sampledParent + " a=1, b=2"},
		"of a later version":        {traced("cc"+sampledParent[2:]+"-what", ""), "cc" + sampledParent[2:] + "-what"},
		"a state alone":             {[]schematest.Header{{Key: headerTraceState, Value: []byte("a=1")}}, ""},
		"the last of two":           {append(traced(droppedParent, ""), traced(sampledParent, "")...), sampledParent},
		"short":                     {traced("00-0af7", ""), ""},
		"no hexadecimals":           {traced(strings.Replace(sampledParent, "0af7", "0ag7", 1), ""), ""},
		"zeros":                     {traced("00-00000000000000000000000000000000-b7ad6b7169203331-01", ""), ""},
		"empty":                     {traced("", "a=1"), ""},
		"null":                      {[]schematest.Header{{Key: headerTraceParent}}, ""},
		"a large one":               {traced(strings.Repeat("0", 1<<20), ""), ""},
		"a large one, well-formed":  {traced("cc"+sampledParent[2:]+"-"+strings.Repeat("x", 300), ""), ""},
		"with a large state":        {traced(sampledParent, "a=1"+strings.Repeat(",", 17<<10)), sampledParent},
		"with a state that is none": {traced(sampledParent, "=,=;\x00"), sampledParent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer alloc.AssertSize(t, 0)
			b := postsWith(t, alloc, c.headers, c.headers, c.headers)
			defer b.Release()
			got := emitted(t, b)
			for _, r := range append(append(got["results"], got["review"]...), got["mod-queue"]...) {
				require.Equal(t, c.want, tracesOf(r), r.Topic)
			}
			require.Len(t, got["results"], 2, "a result and a tombstone")
			require.Len(t, got["review"], 1)
			require.Len(t, got["deadletter"], 1)
			dead := got["deadletter"][0].Headers
			for i, h := range c.headers {
				require.Equal(t, kafka.Header(h), dead[i], "a dead letter keeps what came")
			}
		})
	}
}

// spansOf runs a batch through a tracer that samples share of what brings no
// trace.
func spansOf(t *testing.T, b *schemas.Batch, failure error) (records []kafka.Record, spans tracetest.SpanStubs) {
	t.Helper()
	memory := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(memory), sdktrace.WithSampler(ops.Sampler(0)))
	j := newJourney(t.Context(), &ops.Tracer{Tracer: provider.Tracer("test")}, b)
	e := &emitter{meta: schemas.ResultMeta{KafkaCluster: "c"}, privacy: private(t), now: time.Now}
	records, err := e.records(b, nil, j)
	require.NoError(t, err)
	began := b.Fetched.Add(time.Second)
	j.end(t.Context(), []window{{stageDecode, began, time.Second}, {stageEmit, began.Add(2 * time.Second), time.Second}}, began.Add(3*time.Second), failure)
	return records, memory.GetSpans()
}

func TestATracerContinuesTraces(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := postsWith(t, alloc, traced(sampledParent, "a=1"), traced(droppedParent, ""), nil, traced(sampledParent, ""), traced(sampledParent, ""))
	defer b.Release()
	records, spans := spansOf(t, b, nil)

	var posts []tracetest.SpanStub
	var batch tracetest.SpanStub
	stages := map[string]tracetest.SpanStub{}
	for _, s := range spans {
		switch s.Name {
		case "label post":
			posts = append(posts, s)
		case "label batch":
			batch = s
		default:
			stages[s.Name] = s
		}
	}
	require.Len(t, posts, 3, "those whose trace is sampled")
	for _, p := range posts {
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", p.SpanContext.TraceID().String())
		require.Equal(t, "b7ad6b7169203331", p.Parent.SpanID().String())
		require.True(t, p.Parent.IsRemote())
		require.Equal(t, b.Fetched, p.StartTime)
		require.Equal(t, b.Fetched.Add(4*time.Second), p.EndTime)
		require.Equal(t, batch.SpanContext, p.Links[0].SpanContext)
	}
	require.Equal(t, codes.Error, posts[2].Status.Code, "a dead letter")
	require.Equal(t, "decode: malformed", posts[2].Status.Description)
	require.Len(t, batch.Links, 3)
	require.Equal(t, posts[0].SpanContext, batch.Links[0].SpanContext)
	require.Equal(t, codes.Unset, batch.Status.Code)
	require.Len(t, stages, 2)
	require.Equal(t, batch.SpanContext.SpanID(), stages[stageDecode].Parent.SpanID())
	require.Equal(t, b.Fetched.Add(time.Second), stages[stageDecode].StartTime)
	require.Equal(t, b.Fetched.Add(2*time.Second), stages[stageDecode].EndTime)

	// A result and its two copies, two more results, a tombstone, a dead letter.
	require.Len(t, records, 7)
	first := "00-0af7651916cd43dd8448eb211c80319c-" + posts[0].SpanContext.SpanID().String() + "-01 a=1"
	for _, r := range records[:3] {
		require.Equal(t, first, tracesOf(r))
	}
	require.Regexp(t, "^00-1bf7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$", tracesOf(records[3]), "goes on, not sampled")
	require.Empty(t, tracesOf(records[4]), "brought no trace and is not sampled")
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-"+posts[1].SpanContext.SpanID().String()+"-01", tracesOf(records[5]))
	require.Equal(t, sampledParent, tracesOf(records[6]), "a dead letter keeps its headers as they came")
}

func TestABatchWithoutSampledPostsHasNoSpans(t *testing.T) {
	t.Parallel()
	b := postsWith(t, memory.NewGoAllocator(), traced(droppedParent, ""), nil, nil)
	defer b.Release()
	_, spans := spansOf(t, b, nil)
	require.Empty(t, spans)
}

func TestSpansOfWhatWasNotCommittedSaySo(t *testing.T) {
	t.Parallel()
	b := postsWith(t, memory.NewGoAllocator(), traced(sampledParent, ""), nil, nil)
	defer b.Release()
	_, spans := spansOf(t, b, errors.New("emit of offsets [0,3): away"))
	require.Len(t, spans, 4)
	failed := 0
	for _, s := range spans {
		if s.Status.Code == codes.Error {
			failed++
		}
	}
	require.Equal(t, 2, failed, "the post's and the batch's")
}
