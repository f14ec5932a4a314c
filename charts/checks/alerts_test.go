package checks

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"
)

// documented are the metrics of pipeline/docs/metrics.md with their labels; a
// test of the pipeline keeps that page and the code equal.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	metrics := map[string][]string{}
	label := regexp.MustCompile("`(\\w+)`")
	for line := range strings.Lines(read(t, filepath.Join(root, "pipeline/docs/metrics.md"))) {
		cells := strings.Split(line, "|")
		if name := strings.Trim(strings.TrimSpace(cells[0]), "`"); strings.HasPrefix(name, "itrstream_") && len(cells) >= 4 {
			kind := strings.TrimSpace(cells[1])
			var of []string
			for _, match := range label.FindAllStringSubmatch(cells[2], -1) {
				of = append(of, match[1])
			}
			metrics[name] = of
			if kind == "histogram" {
				metrics[name+"_sum"], metrics[name+"_count"] = of, of
				metrics[name+"_bucket"] = append(slices.Clone(of), "le")
				delete(metrics, name)
			}
		}
	}
	require.Greater(t, len(metrics), 20)
	return metrics
}

// scraped are the labels that Prometheus adds.
var scraped = []string{"namespace", "job", "instance"}

var promQL = parser.NewParser(parser.Options{})

// uses checks that an expression parses and names only documented metrics and
// their labels, and returns the metrics.
func uses(t *testing.T, where, expression string) []string {
	t.Helper()
	known := documented(t)
	expr, err := promQL.ParseExpr(expression)
	require.NoError(t, err, "%s: %s", where, expression)
	var metrics, named []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			metrics = append(metrics, node.Name)
			for _, m := range node.LabelMatchers {
				if m.Name != model.MetricNameLabel {
					named = append(named, m.Name)
				}
			}
		case *parser.AggregateExpr:
			named = append(named, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				named = append(named, node.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	require.NotEmpty(t, metrics, "%s: %s", where, expression)
	of := slices.Clone(scraped)
	for _, m := range metrics {
		_, ok := known[m]
		require.True(t, ok, "%s: %s is not in pipeline/docs/metrics.md", where, m)
		of = append(of, known[m]...)
	}
	for _, label := range named {
		require.Contains(t, of, label, "%s: no metric of %s has the label %s", where, expression, label)
	}
	return metrics
}

type rule struct {
	Alert       string
	Expr        string
	For         model.Duration
	Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join(chart, "files/alerts.yaml"), false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	var rules []rule
	for _, group := range groups.Groups {
		for _, r := range group.Rules {
			rules = append(rules, rule{r.Alert, r.Expr, r.For, r.Annotations})
			require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
		}
	}
	require.NotEmpty(t, rules)
	return rules
}

func TestAlertsNameDocumentedMetrics(t *testing.T) {
	t.Parallel()
	for _, r := range alerts(t) {
		uses(t, r.Alert, r.Expr)
		for _, annotation := range []string{"summary", "description", "runbook_url"} {
			require.NotEmpty(t, r.Annotations[annotation], "%s lacks %s", r.Alert, annotation)
		}
	}
}

// TestEveryAlertHasItsRunbookSection, and every section its alert.
func TestEveryAlertHasItsRunbookSection(t *testing.T) {
	t.Parallel()
	var sections, names []string
	for line := range strings.Lines(read(t, filepath.Join(root, "pipeline/docs/runbook.md"))) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			sections = append(sections, strings.TrimSpace(title))
		}
	}
	for _, r := range alerts(t) {
		names = append(names, r.Alert)
		require.Equal(t, "https://github.com/itrstream/itrstream/blob/main/pipeline/docs/runbook.md#"+strings.ToLower(r.Alert), r.Annotations["runbook_url"])
	}
	require.ElementsMatch(t, names, sections)
}

// TestDashboardShowsWhatIsDocumented: every expression parses and names only documented metrics,
// and none of those is missing.
func TestDashboardShowsWhatIsDocumented(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(chart, "files/dashboard.json"))), &dashboard))
	require.Equal(t, "itrstream", dashboard.UID)
	replace := strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$job", ".*")
	shown, ids := map[string]bool{}, map[int]bool{}
	for _, panel := range dashboard.Panels {
		require.False(t, ids[panel.ID], "two panels have the id %d", panel.ID)
		ids[panel.ID] = true
		if panel.Type == "row" {
			continue
		}
		require.NotEmpty(t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			for _, metric := range uses(t, panel.Title, replace.Replace(target.Expr)) {
				shown[metric] = true
			}
		}
	}
	for metric := range documented(t) {
		if base := strings.TrimSuffix(strings.TrimSuffix(metric, "_sum"), "_count"); base != metric {
			metric = base + "_bucket" // the quantiles
		}
		require.True(t, shown[metric], "no panel shows %s", metric)
	}
}

// TestAlertsFire evaluates each rule, a step a minute, on series that must
// and that must not let it fire at the end of an hour.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	const of = `{namespace="n", job="j", instance="i"`
	lag := `itrstream_consumer_lag_records` + of + `, topic="posts", partition="0"} `
	posts := func(outcome, values string) string {
		return `itrstream_posts_total` + of + `, outcome="` + outcome + `"} ` + values
	}
	cases := map[string]struct{ fires, quiet []string }{
		"ItrstreamLagGrowing": {
			fires: []string{lag + "0+100x60"},
			quiet: []string{lag + "6000-50x60", lag + "0+1x60", lag + "50000x60", lag + "0x50 0+500x10"},
		},
		"ItrstreamLagUnknown": {
			fires: []string{
				`itrstream_assigned_partitions` + of + `} 3x60`,
				`itrstream_assigned_partitions` + of + "} 2x60\n" + lag + "5x60",
				`itrstream_assigned_partitions` + of + "} 1x60\n" + lag + "5x40 stale",
			},
			quiet: []string{`itrstream_assigned_partitions` + of + "} 1x60\n" + lag + "0x60", `itrstream_assigned_partitions` + of + `} 0x60`},
		},
		"ItrstreamDeadLetterShare": {
			fires: []string{posts("result", "0+90x60") + "\n" + posts("dead_letter", "0+10x60")},
			quiet: []string{
				posts("result", "0+99x60") + "\n" + posts("dead_letter", "0+1x60"),
				posts("result", "0x60") + "\n" + posts("dead_letter", "0x60"),
				posts("result", "0+90x60") + "\n" + posts("dead_letter", "0x55 0+10x5"),
			},
		},
		"ItrstreamNoProgress": {
			fires: []string{`itrstream_last_progress_timestamp_seconds` + of + "} 600x60\n" + lag + "7x60"},
			quiet: []string{
				`itrstream_last_progress_timestamp_seconds` + of + "} 600x60\n" + lag + "0x60", // nothing waits
				`itrstream_last_progress_timestamp_seconds` + of + "} 0+60x60\n" + lag + "7x60",
			},
		},
		"ItrstreamModelRunErrors": {
			fires: []string{`itrstream_model_run_errors_total` + of + `} 0x55 1x5`},
			quiet: []string{`itrstream_model_run_errors_total` + of + `} 0x60`, `itrstream_model_run_errors_total` + of + `} 0x10 5x50`},
		},
		"ItrstreamNoveltyAlarm": {
			fires: []string{`itrstream_novelty_alarms_total` + of + `} 0x45 1x15`},
			quiet: []string{`itrstream_novelty_alarms_total` + of + `} 3x60`},
		},
		"ItrstreamRedisAway": {
			fires: []string{`itrstream_redis_up` + of + `} 1x50 0x10`, `itrstream_redis_up` + of + "} 0x60\n" + `itrstream_redis_up{namespace="n", job="j", instance="other"} 1x60`},
			quiet: []string{`itrstream_redis_up` + of + `} 1x60`, `itrstream_redis_up` + of + `} 0x58 1x2`, `itrstream_redis_up` + of + `} 1x59 0`},
		},
		"ItrstreamGone": {
			fires: []string{
				lag + "0x60", `itrstream_last_progress_timestamp_seconds` + of + `} 600x40 stale`,
				`itrstream_build_info` + of + `} 1x60`, // a collector's
			},
			quiet: []string{`itrstream_last_progress_timestamp_seconds` + of + `} 600x60`},
		},
		"ItrstreamImageStoreAway": {
			fires: []string{`itrstream_collect_skipped_total` + of + `, reason="store_away"} 0+2x60`},
			quiet: []string{`itrstream_collect_skipped_total` + of + `, reason="evicted"} 0+2x60`, `itrstream_collect_skipped_total` + of + `, reason="store_away"} 0x60`},
		},
	}
	for _, r := range alerts(t) {
		t.Run(r.Alert, func(t *testing.T) {
			t.Parallel()
			c, ok := cases[r.Alert]
			require.True(t, ok && len(c.fires) > 0 && len(c.quiet) > 0, "give %s series on which it fires, and some on which it does not", r.Alert)
			for _, series := range c.fires {
				require.True(t, firing(t, r, series), "%s does not fire on\n%s", r.Alert, series)
			}
			for _, series := range c.quiet {
				require.False(t, firing(t, r, series), "%s fires on\n%s", r.Alert, series)
			}
		})
	}
}

// firing says whether a rule has held, for the same labels, over its whole
// "for" at minute 60.
func firing(t *testing.T, r rule, series string) bool {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(series, "\n", "\n  "))
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	end := time.Unix(0, 0).Add(time.Hour)
	var held map[string]bool
	for at := end.Add(-time.Duration(r.For)); !at.After(end); at = at.Add(time.Minute) {
		query, err := engine.NewInstantQuery(t.Context(), storage, promql.NewPrometheusQueryOpts(false, 0, nil), r.Expr, at)
		require.NoError(t, err)
		vector, err := query.Exec(t.Context()).Vector()
		require.NoError(t, err)
		now := map[string]bool{}
		for _, sample := range vector {
			if id := sample.Metric.String(); held == nil || held[id] {
				now[id] = true
			}
		}
		query.Close()
		held = now
	}
	return len(held) > 0
}
