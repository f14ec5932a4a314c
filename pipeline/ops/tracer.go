package ops

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushWithin bounds how long the last spans may take to be sent.
const flushWithin = 2 * time.Second

// Tracer sends spans to an OTLP receiver. What the receiver does not take in
// time is dropped: nothing waits for it.
type Tracer struct {
	trace.Tracer
	provider *sdktrace.TracerProvider
}

// NewTracer returns nil when the configuration names no receiver. It connects
// to nothing yet. Beside the configuration, OTEL_EXPORTER_OTLP_HEADERS and
// OTEL_RESOURCE_ATTRIBUTES mean what OpenTelemetry says.
func NewTracer(ctx context.Context, c TracingConfig, version string, log *slog.Logger) (*Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil //nolint:nilnil // no tracer is no error
	}
	to, err := url.JoinPath(c.Endpoint, "v1", "traces")
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(to))
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	who, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "itrstream"), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&outspoken{SpanExporter: exporter, log: log}),
		sdktrace.WithResource(who),
		sdktrace.WithSampler(Sampler(c.Sample)),
	)
	return &Tracer{Tracer: provider.Tracer("itrstream"), provider: provider}, nil
}

// Close sends what is left.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has said what is wrong
}

// Sampler takes a share of the spans that begin a trace, and all that have
// links: those are spans of a batch, made for posts that are sampled. Other spans do as their
// parents.
func Sampler(share float64) sdktrace.Sampler {
	return sdktrace.ParentBased(sampler{sdktrace.TraceIDRatioBased(share)})
}

type sampler struct{ sdktrace.Sampler }

func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if len(p.Links) > 0 {
		return sdktrace.AlwaysSample().ShouldSample(p)
	}
	return s.Sampler.ShouldSample(p)
}

// outspoken says once that spans get lost, and once that they no longer do.
type outspoken struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	away atomic.Bool
}

// ExportSpans sends spans, and drops those that cannot be sent.
func (o *outspoken) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := o.SpanExporter.ExportSpans(ctx, spans)
	if o.away.Swap(err != nil) != (err != nil) {
		if err != nil {
			o.log.WarnContext(ctx, "traces cannot be sent and are dropped: check tracing.endpoint", "error", err)
		} else {
			o.log.InfoContext(ctx, "traces are sent again")
		}
	}
	return nil
}
