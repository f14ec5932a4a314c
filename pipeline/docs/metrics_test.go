package docs

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/pipeline/ops"
)

var update = flag.Bool("update", false, "rewrite the generated tables")

// programs are the commands with an ops listener, and what they register.
var programs = []struct {
	command  string
	register func(prometheus.Registerer)
}{
	{"itrstream run", func(reg prometheus.Registerer) {
		ops.RegisterBuild(reg, "v1")
		pipeline.NewMetrics(reg, slog.New(slog.DiscardHandler))
	}},
	{"itrstream collect", func(reg prometheus.Registerer) {
		ops.RegisterBuild(reg, "v1")
		collector.NewMetrics(reg, slog.New(slog.DiscardHandler))
	}},
}

// recorder keeps what is registered.
type recorder struct {
	*prometheus.Registry
	collectors []prometheus.Collector
}

func (r *recorder) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return r.Registry.Register(c)
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		r.collectors = append(r.collectors, c)
		r.Registry.MustRegister(c)
	}
}

// metric is a row of the table.
type metric struct {
	name, kind, help string
	labels           []string
}

// A descriptor shows its parts in its text alone.
var descriptor = regexp.MustCompile(`^Desc\{fqName: "(.*)", help: ("(?:[^"\\]|\\.)*"), unit: "[a-z]*", constLabels: \{\}, variableLabels: \{(.*)\}.*\}$`)

func metricsOf(t *testing.T, r *recorder) []metric {
	t.Helper()
	var all []metric
	for _, c := range r.collectors {
		descriptors := make(chan *prometheus.Desc, 1)
		go func() {
			defer close(descriptors)
			c.Describe(descriptors)
		}()
		for d := range descriptors {
			parts := descriptor.FindStringSubmatch(d.String())
			require.NotNil(t, parts, "%s", d)
			help, err := strconv.Unquote(parts[2])
			require.NoError(t, err)
			m := metric{name: parts[1], kind: kindOf(t, c), help: help}
			if parts[3] != "" {
				m.labels = strings.Split(parts[3], ",")
			}
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return all
}

func kindOf(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	switch c.(type) {
	case prometheus.Gauge, *prometheus.GaugeVec: // a gauge has all that a counter has
		return "gauge"
	case prometheus.Counter, *prometheus.CounterVec:
		return "counter"
	case prometheus.Histogram, *prometheus.HistogramVec:
		return "histogram"
	}
	require.Failf(t, "a kind of metric that the table does not know", "%T", c)
	return ""
}

// values are those of each label that is there from the start: a closed set.
func values(t *testing.T, r *recorder) map[string]map[string][]string {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	found := map[string]map[string][]string{}
	for _, f := range families {
		of := map[string][]string{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if v := l.GetValue(); !slices.Contains(of[l.GetName()], v) {
					of[l.GetName()] = append(of[l.GetName()], v)
				}
			}
		}
		found[f.GetName()] = of
	}
	return found
}

// info metrics have one series, whose labels are no sets.
func info(name string) bool { return strings.HasSuffix(name, "_info") }

func table(t *testing.T, r *recorder) string {
	t.Helper()
	closed := values(t, r)
	var b strings.Builder
	fmt.Fprintln(&b, "Metric | Kind | Labels | Meaning\n---|---|---|---")
	for _, m := range metricsOf(t, r) {
		var labels []string
		for _, l := range m.labels {
			text := "`" + l + "`"
			if set := closed[m.name][l]; len(set) > 0 && !info(m.name) {
				slices.Sort(set)
				text += ": " + strings.Join(set, ", ")
			}
			labels = append(labels, text)
		}
		fmt.Fprintf(&b, "`%s` | %s | %s | %s\n", m.name, m.kind, strings.Join(labels, "; "), m.help)
	}
	return b.String()
}

const (
	tableBegins = "<!-- metrics of %s: made from the code by make golden -->\n"
	tableEnds   = "<!-- end -->"
)

func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	const file = "metrics.md"
	doc, err := os.ReadFile(file)
	require.NoError(t, err)
	want := string(doc)
	for _, p := range programs {
		r := &recorder{Registry: prometheus.NewRegistry()}
		p.register(r)
		begin := fmt.Sprintf(tableBegins, p.command)
		_, rest, found := strings.Cut(want, begin)
		require.True(t, found, "%s has the line %q", file, begin)
		old, _, found := strings.Cut(rest, tableEnds)
		require.True(t, found)
		want = strings.Replace(want, begin+old, begin+"\n"+table(t, r)+"\n", 1)
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(doc), "make golden writes the tables anew")
}

// Names, units and kinds are as Prometheus wants them.
func TestMetricsAreNamedByConvention(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		r := &recorder{Registry: prometheus.NewRegistry()}
		p.register(r)
		problems, err := testutil.GatherAndLint(r.Registry)
		require.NoError(t, err)
		require.Empty(t, problems, p.command)
		for _, m := range metricsOf(t, r) {
			require.True(t, strings.HasPrefix(m.name, "itrstream_"), m.name)
			require.True(t, strings.HasSuffix(m.help, "."), "%s: a sentence: %q", m.name, m.help)
		}
	}
}
