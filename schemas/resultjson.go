package schemas

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendResult appends a result as JSON, byte for byte what Encode makes of
// it, without reflection: results are most of what leaves. It fails where
// Encode does, on numbers and times that JSON cannot say.
func AppendResult(dst []byte, r *Result) ([]byte, error) {
	w := &jsonWriter{b: dst}
	w.raw(`{"schema":`).text(r.Schema)
	w.raw(`,"result_id":`).text(r.ResultID)
	w.raw(`,"status":`).text(string(r.Status))
	w.raw(`,"source":`).text(r.Source)
	w.raw(`,"op":`).text(string(r.Op))
	w.raw(`,"post_id":`).text(r.PostID)
	w.optional(`,"author_id":`, r.AuthorID)
	if !r.CreatedAt.IsZero() {
		w.raw(`,"created_at":`).time(r.CreatedAt)
	}
	w.raw(`,"text":`).text(r.Text)
	for i, lang := range r.Langs {
		w.next(i, `,"langs":[`).text(lang)
	}
	w.end(len(r.Langs))
	w.flag(`,"sensitive":`, r.Sensitive)
	w.optional(`,"parent_id":`, r.ParentID)
	w.optional(`,"uri":`, r.URI)
	w.optional(`,"version":`, r.Version)
	w.optional(`,"relation":`, r.Relation)
	if r.Confidence != 0 {
		w.raw(`,"confidence":`).number(r.Confidence)
	}
	if r.Pairs == nil {
		w.raw(`,"pairs":null`)
	} else {
		w.raw(`,"pairs":[`)
		for i := range r.Pairs {
			w.next(i, ``)
			w.pair(&r.Pairs[i])
		}
		w.raw(`]`)
	}
	for i, d := range r.Decisions {
		w.next(i, `,"decisions":[`).raw(`{"rule":`).text(d.Rule)
		w.optional(`,"topic":`, d.Topic)
		w.optional(`,"error":`, d.Error)
		w.raw(`}`)
	}
	w.end(len(r.Decisions))
	w.raw(`,"model":{"name":`).text(r.Model.Name)
	w.raw(`,"version":`).text(r.Model.Version)
	w.raw(`,"digest":`).text(r.Model.Digest)
	w.raw(`},"config_digest":`).text(r.ConfigDigest)
	w.raw(`,"input":{"topic":`).text(r.Input.Topic)
	w.raw(`,"partition":`).integer(int64(r.Input.Partition))
	w.raw(`,"offset":`).integer(r.Input.Offset)
	w.raw(`,"time":`).time(r.Input.Time)
	w.raw(`},"timings_ms":{"decode":`).number(r.Timings.Decode)
	w.raw(`,"media":`).number(r.Timings.Media)
	w.raw(`,"infer":`).number(r.Timings.Infer)
	w.raw(`,"cluster":`).number(r.Timings.Cluster)
	w.raw(`,"total":`).number(r.Timings.Total)
	w.raw(`}}`)
	return w.b, w.err
}

func (w *jsonWriter) pair(p *Pair) {
	w.raw(`{"index":`).integer(int64(p.Index))
	w.optional(`,"url":`, p.URL)
	w.optional(`,"alt":`, p.Alt)
	w.optional(`,"digest":`, p.Digest)
	w.optional(`,"relation":`, p.Relation)
	if p.Confidence != 0 {
		w.raw(`,"confidence":`).number(p.Confidence)
	}
	if s := p.Scores; s != nil {
		w.raw(`,"scores":{"neither":`).number(s.Neither)
		w.raw(`,"image_adds":`).number(s.ImageAdds)
		w.raw(`,"text_represented":`).number(s.TextRepresented)
		w.raw(`,"both":`).number(s.Both)
		w.raw(`}`)
	}
	w.optionalNumber(`,"text_is_represented":`, p.TextIsRepresented)
	w.optionalNumber(`,"image_adds":`, p.ImageAdds)
	w.optionalNumber(`,"similarity":`, p.Similarity)
	if w.raw(`,"cluster":`); p.Cluster == nil {
		w.raw(`null`)
	} else {
		w.text(*p.Cluster)
	}
	w.optional(`,"cluster_status":`, string(p.ClusterStatus))
	w.optionalNumber(`,"distance":`, p.Distance)
	w.flag(`,"novel":`, p.Novel)
	if p.CentroidVersion != nil {
		w.raw(`,"centroid_version":`).integer(*p.CentroidVersion)
	}
	w.optional(`,"failure":`, string(p.Failure))
	w.optional(`,"failure_detail":`, p.Detail)
	w.raw(`}`)
}

// jsonWriter appends JSON as encoding/json writes it without HTML escapes. The
// first error stays.
type jsonWriter struct {
	b   []byte
	err error
}

func (w *jsonWriter) raw(s string) *jsonWriter {
	w.b = append(w.b, s...)
	return w
}

// next begins element i of a list: with what opens it, or a comma.
func (w *jsonWriter) next(i int, open string) *jsonWriter {
	if i > 0 {
		open = `,`
	}
	return w.raw(open)
}

// end closes a list of n elements, which was opened with its first.
func (w *jsonWriter) end(n int) {
	if n > 0 {
		w.raw(`]`)
	}
}

func (w *jsonWriter) optional(name, value string) {
	if value != "" {
		w.raw(name).text(value)
	}
}

func (w *jsonWriter) optionalNumber(name string, value *float64) {
	if value != nil {
		w.raw(name).number(*value)
	}
}

func (w *jsonWriter) flag(name string, value *bool) {
	if value != nil {
		w.b = strconv.AppendBool(append(w.b, name...), *value)
	}
}

func (w *jsonWriter) integer(n int64) { w.b = strconv.AppendInt(w.b, n, 10) }

func (w *jsonWriter) time(t time.Time) {
	b, err := t.AppendText(append(w.b, '"'))
	if err != nil {
		w.fail(fmt.Errorf("schemas: %w", err))
		return
	}
	w.b = append(b, '"')
}

var errNumber = errors.New("schemas: JSON has no infinity and no NaN")

// number appends the shortest decimal that means f.
func (w *jsonWriter) number(f float64) {
	// Most are milliseconds. A decimal of so few digits means one double only,
	// so if it means f, no other of 15 digits does, and none is shorter.
	if thousandths := int64(f * 1000); f > 0 && f < 1e9 && float64(thousandths)/1000 == f {
		w.thousandths(thousandths)
		return
	}
	abs := math.Abs(f)
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		w.fail(errNumber)
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		w.b = strconv.AppendFloat(w.b, f, 'e', -1, 64)
		// e-09 reads e-9.
		if n := len(w.b); w.b[n-4] == 'e' && w.b[n-3] == '-' && w.b[n-2] == '0' {
			w.b[n-2] = w.b[n-1]
			w.b = w.b[:n-1]
		}
	default:
		w.b = strconv.AppendFloat(w.b, f, 'f', -1, 64)
	}
}

func (w *jsonWriter) thousandths(n int64) {
	w.integer(n / 1000)
	rest := n % 1000
	if rest == 0 {
		return
	}
	w.b = append(w.b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	for w.b[len(w.b)-1] == '0' {
		w.b = w.b[:len(w.b)-1]
	}
}

func (w *jsonWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// text appends a string. What is no UTF-8 becomes U+FFFD; the line separators
// of JavaScript are escaped.
func (w *jsonWriter) text(s string) {
	const hex = "0123456789abcdef"
	b := append(w.b, '"')
	from := 0 // of what is not appended yet
	for i := plain(s); i < len(s); i += plain(s[i:]) {
		c := s[i]
		if c < utf8.RuneSelf {
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, `\b`...)
			case '\f':
				b = append(b, `\f`...)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[from:i]...), `\ufffd`...)
			from = i + n
		case r == '\u2028', r == '\u2029':
			b = append(append(b, s[from:i]...), '\\', 'u', '2', '0', '2', hex[r&15])
			from = i + n
		}
		i += n
	}
	w.b = append(append(b, s[from:]...), '"')
}

// plain returns how many of the first bytes of s stand for themselves in JSON
// and are ASCII. It looks at eight at a time.
func plain(s string) (n int) {
	const (
		ones = 0x0101010101010101
		high = 0x80 * ones
	)
	for ; len(s)-n >= 8; n += 8 {
		w := s[n : n+8]
		v := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		quotes, slashes := v^'"'*ones, v^'\\'*ones
		// The lowest bit set is right; those above it may come of a borrow.
		if special := ((v - ' '*ones) | v | (quotes-ones)&^quotes | (slashes-ones)&^slashes) & high; special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	for ; n < len(s); n++ {
		if c := s[n]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return n
}
