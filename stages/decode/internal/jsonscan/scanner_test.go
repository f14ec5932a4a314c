package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/stages/decode/internal/jsonscan"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	many := func(last string) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `"n%d":0,`, i)
		}
		return "{" + b.String() + `"` + last + `":0}`
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "byte 0: the text ends here: want a value"},
		{"white space", " \n", "byte 2: the text ends here: want a value"},
		{"word", "nul", "byte 0: want a value"},
		{"trailing", "{} x", "byte 3: more text after the value"},
		{"two values", "1 2", "byte 2: more text after the value"},
		{"byte order mark", "\ufeff{}", "byte 0: want a value"},
		{"cut object", `{"a":1`, "byte 6: the text ends here: want a comma or the end of the object"},
		{"cut name", `{"a`, "byte 3: the text ends here: want the end of a string"},
		{"no colon", `{"a" 1}`, "byte 5: want a colon"},
		{"no value", `{"a":}`, "byte 5: want a value"},
		{"trailing comma", `{"a":1,}`, "byte 7: want a string"},
		{"trailing comma in array", `[1,]`, "byte 3: want a value"},
		{"wrong end", `[1}`, "byte 2: want a comma or the end of the array"},
		{"unquoted name", `{a:1}`, "byte 1: want a string"},
		{"comment", "/**/1", "byte 0: want a value"},
		{"plus", "+1", "byte 0: want a value"},
		{"leading zero", "01", "byte 1: more text after the value"},
		{"bare point", "1.", "byte 2: the text ends here: want a digit"},
		{"bare minus", "-", "byte 1: the text ends here: want a digit"},
		{"bare exponent", "1e+", "byte 3: the text ends here: want a digit"},
		{"double overflow", `[1e999]`, "byte 1: number out of range"},
		{"64 bits", `[18446744073709551615,-9223372036854775808,1e308,1e-999]`, ""},
		{"65 bits", `[18446744073709551616]`, "byte 1: number out of range"},
		{"negative 65 bits", `[-9223372036854775809]`, "byte 1: number out of range"},
		{"duplicate", `{"a":1,"b":2,"\u0061":3}`, `byte 13: duplicated name "a"`},
		{"duplicate that may be text", `{"so sad":1,"so sad":2}`, `byte 12: duplicated name`},
		{"duplicate among many", many("n99"), `byte 791: duplicated name "n99"`},
		{"many", many("other"), ""},
		{"same name elsewhere", `{"a":{"a":1},"b":{"a":[{"a":1},{"a":2}]}}`, ""},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", "byte 6: invalid UTF-8"},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", "byte 1: invalid UTF-8"},
		{"lone high surrogate", `"x\ud83c"`, "byte 2: lone surrogate"},
		{"lone low surrogate", `"\udf2b"`, "byte 1: lone surrogate"},
		{"high surrogate and a letter", `"\ud83c\u0061"`, "byte 1: lone surrogate"},
		{"NUL escaped", `{"unknown":"a\u0000"}`, "byte 13: the character U+0000"},
		{"NUL", "\"a\x00\"", "byte 2: control character in a string"},
		{"line break", "\"a\nb\"", "byte 2: control character in a string"},
		{"unknown escape", `"\x41"`, "byte 1: unknown escape"},
		{"short escape", `"\u12"`, "byte 1: want four hexadecimal digits"},
		{"signed escape", `"\u+123"`, "byte 1: want four hexadecimal digits"},
		{"deepest", deep(jsonscan.MaxDepth), ""},
		{"wide", "[" + strings.Repeat(`[],{},{"a":[]},`, 100) + "0]", ""},
		{"too deep", deep(jsonscan.MaxDepth + 1), "byte 64: nested deeper than 64"},
		{"depth bomb", strings.Repeat(`{"a":[`, 1<<20), "byte 192: nested deeper than 64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := jsonscan.New([]byte(tt.text))
			s.Skip()
			s.End()
			if tt.want == "" {
				assert.NoError(t, s.Err())
				return
			}
			assert.EqualError(t, s.Err(), tt.want)
			assert.Equal(t, jsonscan.Invalid, s.Kind(), "a fault ends everything")
		})
	}
}

func TestOpaque(t *testing.T) {
	t.Parallel()
	s := jsonscan.New([]byte(` ["aGk=", "a\"b", 3]`))
	for i := range s.Array() {
		switch i {
		case 0:
			raw := s.Opaque()
			assert.Equal(t, "aGk=", string(raw))
			s.Consume(raw)
		case 1:
			assert.Equal(t, `a\`, string(s.Opaque()))
			assert.Equal(t, `a"b`, string(s.Text()))
		case 2:
			assert.Nil(t, s.Opaque())
			s.Skip()
		}
	}
	s.End()
	require.NoError(t, s.Err())
}

// FuzzScanner compares with a slow reader built on encoding/json: whether a
// text is accepted, and what it holds.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,true,false,null,"x\u00e9\ud83c\udf2b\/\n"],"b":{}}`, `"\ud800"`, `{"a":1,"a":2}`, `[1e999]`,
		`[[[[]]]]`, ` [ 0 , -0.0 ] `, `18446744073709551616`, "\"\x00\"", `{"":{"":0}}`, `"\u0000"`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, wantErr := slowRead(text)
		s := jsonscan.New(text)
		got := value(s)
		s.End()
		if wantErr != nil {
			require.Error(t, s.Err(), "want %v", wantErr)
			return
		}
		require.NoError(t, s.Err())
		require.Equal(t, want, got)

		again := jsonscan.New(text)
		again.Skip()
		again.End()
		require.NoError(t, again.Err())
	})
}

// value reads any value, with numbers as the marker number.
func value(s *jsonscan.Scanner) any {
	switch s.Kind() {
	case jsonscan.Null:
		s.Null()
		return nil
	case jsonscan.Bool:
		return s.Bool()
	case jsonscan.String:
		return string(s.Text())
	case jsonscan.Array:
		list := []any{}
		for i := range s.Array() {
			if i != len(list) {
				panic("array index out of step")
			}
			list = append(list, value(s))
		}
		return list
	case jsonscan.Object:
		object := map[string]any{}
		for name := range s.Object() {
			object[string(name)] = value(s)
		}
		return object
	case jsonscan.Number, jsonscan.Invalid:
	}
	s.Skip()
	return number
}

const number = json.Number("a number")

func slowRead(text []byte) (any, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, fmt.Errorf("invalid")
	}
	if err := escapes(text); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := slowValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("trailing")
	}
	return v, nil
}

func slowValue(d *json.Decoder, depth int) (any, error) {
	if depth > jsonscan.MaxDepth {
		return nil, fmt.Errorf("too deep")
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		if strings.ContainsAny(tok.String(), ".eE") {
			_, err := strconv.ParseFloat(tok.String(), 64)
			return number, err
		}
		_, signed := strconv.ParseInt(tok.String(), 10, 64)
		_, unsigned := strconv.ParseUint(tok.String(), 10, 64)
		if signed != nil && unsigned != nil {
			return nil, signed
		}
		return number, nil
	case json.Delim:
		if depth == jsonscan.MaxDepth {
			return nil, fmt.Errorf("too deep")
		}
		list, object := []any{}, map[string]any{}
		for d.More() {
			name := ""
			if tok == '{' {
				key, err := d.Token()
				if err != nil {
					return nil, err
				}
				name = key.(string)
				if _, ok := object[name]; ok {
					return nil, fmt.Errorf("duplicate")
				}
			}
			v, err := slowValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list, object[name] = append(list, v), v
		}
		if _, err := d.Token(); err != nil {
			return nil, err
		}
		if tok == '{' {
			return object, nil
		}
		return list, nil
	}
	return tok, nil
}

// escapes refuses, in valid JSON, escapes of U+0000 and of lone surrogates.
func escapes(text []byte) error {
	unit := func(i int) (rune, bool) {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return rune(v), err == nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		r, ok := unit(i)
		if !ok {
			i++
			continue
		}
		i += 5
		if utf16.IsSurrogate(r) {
			low, ok := unit(i + 1)
			if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
				return fmt.Errorf("surrogate")
			}
			i += 6
		}
		if r == 0 {
			return fmt.Errorf("NUL")
		}
	}
	return nil
}
