package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/itrstream/itrstream/schemas"
)

// printer writes outcomes to out, and how far it is to progress: one line
// that is rewritten on a terminal, a line now and then elsewhere.
type printer struct {
	out, progress io.Writer
	total         int
	began         time.Time
	terminal      bool
}

func newPrinter(out, progress io.Writer, total int, began time.Time) *printer {
	p := &printer{out: out, progress: progress, total: total, began: began}
	if f, ok := progress.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *printer) heading() {
	fmt.Fprintf(p.out, "%d sample posts through embedded Kafka, the shipped model, embedded Redis\n\n", p.total)
	fmt.Fprintf(p.out, "%-17s %-5s %-9s %s\n", "relation", "conf", "cluster", "post")
}

// step says how far it is.
func (p *printer) step(t *tally, now time.Time) {
	line := fmt.Sprintf("%d of %d posts, %.1f s", t.outcomes(), p.total, now.Sub(p.began).Seconds())
	if p.terminal {
		fmt.Fprintf(p.progress, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.progress, line)
}

func (p *printer) outcome(o outcome) {
	if p.terminal {
		fmt.Fprint(p.progress, "\r\x1b[K")
	}
	switch {
	case o.deadLetter:
		fmt.Fprintf(p.out, "%-17s %-5s %-9s %s: %s\n", "DEAD LETTER", "", "", o.reason, clean(o.detail, 90))
	case o.result == nil:
		fmt.Fprintf(p.out, "%-17s %-5s %-9s %s\n", "TOMBSTONE", "", "", clean(o.post, 60))
	default:
		p.result(o.result)
	}
}

func (p *printer) result(r *schemas.Result) {
	relation, confidence, cluster := string(r.Status), "", ""
	if r.Relation != "" {
		relation, confidence = r.Relation, fmt.Sprintf("%.2f", r.Confidence)
	}
	images := ""
	for _, pair := range r.Pairs {
		switch {
		case pair.Cluster != nil && cluster == "":
			cluster = shorten(*pair.Cluster, 8)
		case pair.ClusterStatus == schemas.ClusterBootstrapping && cluster == "":
			cluster = "…"
		}
		if pair.Failure != "" {
			images += fmt.Sprintf(" [image %d: %s]", pair.Index+1, pair.Failure)
		}
	}
	if len(r.Pairs) > 1 {
		images = fmt.Sprintf(" (%d images)%s", len(r.Pairs), images)
	}
	fmt.Fprintf(p.out, "%-17s %-5s %-9s %s%s\n", relation, confidence, cluster, clean(r.Text, 70), images)
}

// clean makes foreign text safe to print on one line.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return shorten(s, limit)
}

func shorten(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}

func (p *printer) summary(s Summary, asJSON bool) error {
	if p.terminal {
		fmt.Fprint(p.progress, "\r\x1b[K")
	}
	if asJSON {
		line, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode the summary: %w", err)
		}
		fmt.Fprintf(p.out, "%s\n", line)
		return nil
	}
	fmt.Fprintf(p.out, "\n%d posts in: %d results, %d tombstones, %d dead letters; %d clusters\n",
		s.PostsIn, s.Results, s.Tombstones, s.DeadLetters, s.Clusters)
	for _, name := range schemas.RelationNames() {
		fmt.Fprintf(p.out, "  %-17s %d\n", name, s.Labels[name])
	}
	if a := s.Agreement; a != nil {
		fmt.Fprintf(p.out, "as the samples were written for: %d of %d\n", a.Agreed, a.Compared)
	}
	fmt.Fprintf(p.out, "%.1f posts/s, latency p50 %.0f ms, p99 %.0f ms; model %s %s\n",
		s.PostsPerSecond, s.LatencyMS.P50, s.LatencyMS.P99, s.Model.Name, s.Model.Version)
	if d := s.Dataset; d != nil {
		fmt.Fprintf(p.out, "data set: %d pairs in %d shards, %d dropped: %s\n", d.Pairs, d.Shards, d.dropped(), d.Folder)
	}
	return nil
}
