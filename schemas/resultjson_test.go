package schemas_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
)

// texts holds what JSON writes in a way of its own, at places that eight bytes
// at a time may see differently.
var texts = rapid.OneOf(
	rapid.String(),
	rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	rapid.Map(rapid.SliceOf(rapid.SampledFrom([]string{
		"abcdefg", " ", "\"", "\\", "/", "\x00", "\x1f", "\b\f\n\r\t", "\x7f", "\x80", "<&>", "é", "☁️", "\u2028", "\u2029", "\u202a", "\U0001f32b", "\xed\xa0\x80", "\xf0\x9f", "\ufffd",
	})), func(parts []string) string { return strings.Join(parts, "") }),
)

var numbers = rapid.OneOf(
	rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), rapid.Float64Range(-1, 1),
	rapid.Map(rapid.Int64Range(-5, 5_000_000), func(n int64) float64 { return float64(n) / 1000 }),
	rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), 1, 0.1, 1e-6, 9.99e-7, 1e-9, 1e-10, 1e20, 1e21, 1e9, 999999999.999, 0.0005, 5e-324, math.MaxFloat64,
	}),
)

var times = rapid.Custom(func(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "zero") {
		return time.Time{}
	}
	at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
	return at.In(time.FixedZone("", rapid.SampledFrom([]int{0, 0, 3600, -5400}).Draw(t, "zone")))
})

// fill gives everything that v holds, fields that are yet to come included,
// any value.
func fill(t *rapid.T, v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts.Draw(t, name))
	case reflect.Float64:
		v.SetFloat(numbers.Draw(t, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, name))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, name) {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), name)
		}
	case reflect.Slice:
		if n := rapid.IntRange(-1, 3).Draw(t, name); n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), name)
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(times.Draw(t, name)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("no values for a field of type %v", v.Type())
	}
}

// What AppendResult writes is what encoding/json writes.
func TestAppendResultIsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r schemas.Result
		fill(t, reflect.ValueOf(&r).Elem(), "result")
		want, refused := schemas.Encode(r)
		got, err := schemas.AppendResult([]byte("before"), &r)
		if refused != nil { // a zone has made a year of five digits
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, "before"+string(want), string(got))
	})
}

func TestAppendResultRefuses(t *testing.T) {
	t.Parallel()
	late := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	far := schematest.Start.In(time.FixedZone("", 24*3600))
	for name, r := range map[string]schemas.Result{
		"NaN":                {Confidence: math.NaN()},
		"infinity":           {Timings: schemas.Millis{Total: math.Inf(1)}},
		"minus infinity":     {Pairs: []schemas.Pair{{Scores: &schemas.Scores{Both: math.Inf(-1)}}}},
		"a year of 5 digits": {CreatedAt: late},
		"before the years":   {Input: schemas.Input{Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"a zone of a day":    {Input: schemas.Input{Time: far}},
	} {
		_, err := schemas.Encode(r)
		require.Error(t, err, name)
		_, err = schemas.AppendResult(nil, &r)
		require.Error(t, err, name)
	}
}

func FuzzAppendResultText(f *testing.F) {
	for _, s := range []string{"", "plain words, of some length", "\"\\\x00\x1f\u2028☁️\xff<>&", strings.Repeat("aé", 20)} {
		f.Add(s, 0.25)
	}
	f.Fuzz(func(t *testing.T, text string, number float64) {
		r := schemas.Result{Text: text, Confidence: number}
		want, refused := schemas.Encode(r)
		got, err := schemas.AppendResult(nil, &r)
		if refused != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	})
}

func BenchmarkResult(b *testing.B) {
	batch := labelled(b, memory.DefaultAllocator)
	defer batch.Release()
	for name, row := range map[string]int{"pairs": 0, "text": 1} {
		results := schemas.ResultsOf(batch, meta)
		result := results.At(row, schematest.Start)
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = results.At(row, schematest.Start)
			}
		})
		b.Run(name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = schemas.AppendResult(buf[:0], &result)
			}
		})
		b.Run(name+"/reflect", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = schemas.Encode(result)
			}
		})
	}
}
