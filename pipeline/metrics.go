package pipeline

import (
	"log/slog"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/itrstream/itrstream/connectors/kafka"
	fetcher "github.com/itrstream/itrstream/connectors/media"
	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/ops"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages/cluster"
	"github.com/itrstream/itrstream/stages/collect"
	"github.com/itrstream/itrstream/stages/infer"
	"github.com/itrstream/itrstream/stages/media"
)

// Metrics are all metrics of the label pipeline: its own, and those of the
// parts it is made of. Every series that can be known beforehand is there from the start, at
// zero.
type Metrics struct {
	Kafka   *kafka.Metrics
	Fetch   *fetcher.Metrics
	Media   *media.Metrics
	Model   *model.Metrics
	Infer   *infer.Metrics
	Cluster *cluster.Metrics
	Collect *collect.Metrics
	Lag     *ops.Lag

	model        *prometheus.GaugeVec
	stages       map[string]prometheus.Observer
	posts        map[schemas.Outcome]prometheus.Counter
	rejects      *prometheus.CounterVec
	pairFailures *prometheus.CounterVec
	pairs        [schemas.Relations]prometheus.Counter
	queueBatches prometheus.Gauge
	queueBytes   prometheus.Gauge
	maxBatches   prometheus.Gauge
	maxBytes     prometheus.Gauge
	redisUp      prometheus.Gauge
	assigned     prometheus.Gauge
	progress     prometheus.Gauge
}

// The stages of a batch, as metrics, traces and logs name them.
const (
	stageDecode  = "decode"
	stageMedia   = "media"
	stageInfer   = "infer"
	stageCluster = "cluster"
	stageDecide  = "decide"
	stageCollect = "collect"
	stageEmit    = "emit"
)

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer, log *slog.Logger) *Metrics {
	in := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return in.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return in.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		Kafka: kafka.NewMetrics(reg), Fetch: fetcher.NewMetrics(reg), Media: media.NewMetrics(reg), Model: model.NewMetrics(reg),
		Infer: infer.NewMetrics(reg), Cluster: cluster.NewMetrics(reg), Collect: collect.NewMetrics(reg), Lag: ops.NewLag(reg, log),
		stages: make(map[string]prometheus.Observer),
		posts:  make(map[schemas.Outcome]prometheus.Counter),
		model: in.NewGaugeVec(prometheus.GaugeOpts{
			Name: "itrstream_model_info",
			Help: "1, with the model bundle that labels and the device it runs on.",
		}, []string{"name", "version", "digest", "device"}),
		rejects:      counters("itrstream_rejects_total", "Posts that went to the dead letters, by stage and reason.", "stage", "reason"),
		pairFailures: counters("itrstream_pair_failures_total", "Pairs that have no relation in a result, or were all of a dead letter, by reason.", "reason"),
		queueBatches: gauge("itrstream_queue_batches", "Batches between fetch and commit."),
		queueBytes:   gauge("itrstream_queue_bytes", "Bytes of queue.max_bytes that brokers' answers, batches and what the model makes of their pairs have reserved."),
		maxBatches:   gauge("itrstream_queue_capacity_batches", "Batches that may be between fetch and commit: queue.max_batches."),
		maxBytes:     gauge("itrstream_queue_capacity_bytes", "Bytes that may be reserved between the brokers and the commit: queue.max_bytes."),
		redisUp:      gauge("itrstream_redis_up", "1 while Redis answers, else 0."),
		assigned:     gauge("itrstream_assigned_partitions", "Partitions that the consumer group has given to this process."),
		progress:     gauge("itrstream_last_progress_timestamp_seconds", "When the last batch was committed, in Unix time; at first, when the process started."),
	}
	durations := in.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "itrstream_stage_duration_seconds",
		Help:    "Time that a stage took for one batch, with its retries.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 17),
	}, []string{"stage"})
	for _, name := range []string{stageDecode, stageMedia, stageInfer, stageCluster, stageDecide, stageCollect, stageEmit} {
		m.stages[name] = durations.WithLabelValues(name)
	}
	posts := counters("itrstream_posts_total", "Posts that were read and committed, by what they became.", "outcome")
	for _, o := range []schemas.Outcome{schemas.OutcomeResult, schemas.OutcomeTombstone, schemas.OutcomeDeadLetter} {
		m.posts[o] = posts.WithLabelValues(string(o))
	}
	for _, r := range []schemas.Reason{schemas.ReasonMalformed, schemas.ReasonSchemaUnknown, schemas.ReasonTooLarge, schemas.ReasonNotAPost} {
		m.rejects.WithLabelValues(stageDecode, string(r))
	}
	m.rejects.WithLabelValues(stageMedia, string(schemas.ReasonMediaFailed))
	for _, r := range []schemas.Reason{
		schemas.ReasonForbidden, schemas.ReasonUnreachable, schemas.ReasonNotImage, schemas.ReasonCorrupt, schemas.ReasonImageSize, schemas.ReasonNoSource,
	} {
		m.pairFailures.WithLabelValues(string(r))
	}
	pairs := counters("itrstream_pairs_total", "Pairs that were labelled and committed, by relation.", "relation")
	for i, name := range schemas.RelationNames() {
		m.pairs[i] = pairs.WithLabelValues(name)
	}
	return m
}

// started notes what does not change while the process runs.
func (m *Metrics) started(q config.Queue, now time.Time) {
	m.maxBatches.Set(float64(q.MaxBatches))
	m.maxBytes.Set(float64(q.MaxBytes))
	m.progressed(now)
}

// labelsWith notes the model.
func (m *Metrics) labelsWith(ref schemas.ModelRef, device string) {
	m.model.WithLabelValues(ref.Name, ref.Version, ref.Digest, device).Set(1)
}

func (m *Metrics) progressed(now time.Time) {
	m.progress.Set(float64(now.UnixMilli()) / 1000)
}

// queued counts batches that came between fetch and commit, or left, and bytes
// that were reserved, or given back.
func (m *Metrics) queued(batches int, bytes int64) {
	if m != nil {
		m.queueBatches.Add(float64(batches))
		m.queueBytes.Add(float64(bytes))
	}
}

func (m *Metrics) took(stage string, d time.Duration) { m.stages[stage].Observe(d.Seconds()) }

// committed counts what a batch became.
func (m *Metrics) committed(b *schemas.Batch, now time.Time) {
	m.progressed(now)
	for row, outcome := range schemas.Outcomes(b) {
		m.posts[outcome].Inc()
		if why, rejected := b.Rejected(row); rejected {
			m.rejects.WithLabelValues(why.Stage, string(why.Reason)).Inc() // rare enough for a look-up
		}
	}
	pairs := b.Pairs()
	if failure := schemas.Col[*array.String](pairs, schemas.PairFailure); failure.NullN() < failure.Len() {
		for row := range failure.Len() {
			if failure.IsValid(row) {
				m.pairFailures.WithLabelValues(strings.Clone(failure.Value(row))).Inc() // a series keeps its label
			}
		}
	}
	scores := schemas.Col[*array.FixedSizeList](pairs, schemas.PairScores)
	for row := range scores.Len() {
		if scores.IsValid(row) {
			m.pairs[schemas.BestRelation(scores, row)].Inc()
		}
	}
}
