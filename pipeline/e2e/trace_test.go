package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/itrstream/itrstream/schemas"
)

// receiver is an OTLP receiver over HTTP.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*tracepb.Span
	faults []string
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var got collectorpb.ExportTraceServiceRequest
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = proto.Unmarshal(body, &got)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil || req.URL.Path != "/v1/traces" {
			r.faults = append(r.faults, req.URL.Path)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, resource := range got.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// named returns the spans of a name.
func (r *receiver) named(name string) (found []*tracepb.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// traceRecords are a post, a delete, and no post, each in a trace of its own,
// and a post whose header is malformed.
func traceRecords() []*kgo.Record {
	trace := func(n string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: "traceparent", Value: []byte("00-" + strings.Repeat(n, 32) + "-" + strings.Repeat(n, 16) + "-01")}
	}
	state := kgo.RecordHeader{Key: "tracestate", Value: []byte("vendor=1")}
	return []*kgo.Record{
		{Topic: "posts", Key: []byte("a"), Value: []byte(`{"schema":"post.v1","post_id":"a","text":"x"}`), Headers: []kgo.RecordHeader{trace("a"), state}},
		{Topic: "posts", Key: []byte("b"), Value: []byte(`{"schema":"post.v1","post_id":"b","op":"delete"}`), Headers: []kgo.RecordHeader{trace("b")}},
		{Topic: "posts", Key: []byte("c"), Value: []byte(`{`), Headers: []kgo.RecordHeader{trace("c"), state}},
		{Topic: "posts", Key: []byte("d"), Value: []byte(`{"schema":"post.v1","post_id":"d","text":"x"}`), Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-zz")}}},
	}
}

// traceOf runs the records through a worker. It returns the records of the
// topics, by topic and key.
func traceOf(t *testing.T, settings ...string) map[string]*kgo.Record {
	t.Helper()
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, settings...)
	cfg.Decide.Rules = append(cfg.Decide.Rules[:0:0], cfg.Decide.Rules[0])
	cfg.Decide.Rules[0].When = "true"
	w := start(t, cfg)
	require.NoError(t, client(t, s).ProduceSync(t.Context(), traceRecords()...).FirstErr())
	next := follow(t, s, kgo.ReadCommitted(), "results", "review", "deadletter")
	found := map[string]*kgo.Record{}
	for until := time.Now().Add(patience); len(found) < 6 && time.Now().Before(until); {
		for _, r := range next() {
			found[r.Topic+" "+string(r.Key)] = r
		}
	}
	w.end(t)
	require.Len(t, found, 6, "two results, two copies, a tombstone, a dead letter")
	return found
}

// TestATraceGoesFromThePostToItsResult: what a producer began, whoever reads
// the results continues.
func TestATraceGoesFromThePostToItsResult(t *testing.T) {
	otlp := startReceiver(t)
	found := traceOf(t, "tracing.endpoint="+otlp.URL, "tracing.sample=0")
	require.Empty(t, otlp.faults)
	posts := map[string]*tracepb.Span{}
	for _, s := range otlp.named("label post") {
		posts[hex.EncodeToString(s.TraceId[:1])] = s
		require.Equal(t, s.TraceId[:8], s.ParentSpanId, "the producer's span")
	}
	require.Len(t, posts, 3)
	for key, n := range map[string]string{"results a": "a", "review a": "a", "results b": "b"} {
		want := "00-" + strings.Repeat(n, 32) + "-" + hex.EncodeToString(posts[n+n].SpanId) + "-01"
		require.Equal(t, want, header(found[key], "traceparent"), key)
	}
	require.Equal(t, "vendor=1", header(found["results a"], "tracestate"))
	require.Equal(t, string(traceRecords()[2].Headers[0].Value), header(found["deadletter c"], "traceparent"), "the trace goes on from the producer's span")
	require.NotEmpty(t, header(found["deadletter c"], schemas.HeaderReason))
	require.Empty(t, header(found["results d"], "traceparent"), "malformed, and so as if there were none")

	batches := otlp.named("label batch")
	require.NotEmpty(t, batches)
	links := 0
	for _, b := range batches {
		links += len(b.Links)
	}
	require.Equal(t, 3, links)
	for _, stage := range []string{"decode", "media", "infer", "cluster", "decide", "emit"} {
		require.Len(t, otlp.named(stage), len(batches), stage)
	}
}

// TestTracesPassWithoutAReceiver: headers go on as they came.
func TestTracesPassWithoutAReceiver(t *testing.T) {
	found := traceOf(t)
	sent := traceRecords()
	for key, i := range map[string]int{"results a": 0, "review a": 0, "results b": 1, "deadletter c": 2} {
		require.Equal(t, string(sent[i].Headers[0].Value), header(found[key], "traceparent"), key)
	}
	require.Equal(t, "vendor=1", header(found["review a"], "tracestate"))
	require.Empty(t, header(found["results d"], "traceparent"))
}

// TestAReceiverThatIsAwayHoldsNothingUp: spans are dropped, results are not.
func TestAReceiverThatIsAwayHoldsNothingUp(t *testing.T) {
	otlp := startReceiver(t)
	otlp.Close()
	traceOf(t, "tracing.endpoint="+otlp.URL, "tracing.sample=1")
}
