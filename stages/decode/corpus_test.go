package decode_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/schemas/schematest"
	"github.com/itrstream/itrstream/stages/decode"
)

const corpusDir = "testdata/hostile"

// corpusConfig has limits that small files can exceed. The whole pipeline is
// fed the same corpus in pipeline/e2e, with the same limits.
func corpusConfig() decode.Config {
	cfg := decode.DefaultConfig()
	cfg.MaxMessageBytes, cfg.MaxTextBytes, cfg.MaxImages, cfg.MaxImageBytes = 32<<10, 1<<10, 4, 8<<10
	return cfg
}

// hostile is a line of expected.jsonl.
type hostile struct {
	File    string          `json:"file,omitempty"` // the record's value; none for a null one
	Key     []byte          `json:"key"`            // base64; null for none
	Outcome schemas.Outcome `json:"outcome"`
	Reason  schemas.Reason  `json:"reason,omitempty"`
	Post    string          `json:"post,omitempty"` // id of a post that is accepted
	Tests   string          `json:"tests"`
}

func corpus(t *testing.T) []hostile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, "expected.jsonl"))
	require.NoError(t, err)
	var entries []hostile
	for line := range bytes.Lines(data) {
		var h hostile
		require.NoError(t, json.Unmarshal(line, &h))
		entries = append(entries, h)
	}
	return entries
}

func (h hostile) record(t *testing.T, offset int) schematest.Record {
	t.Helper()
	r := schematest.Record{Offset: int64(offset), Key: h.Key}
	if h.File != "" {
		value, err := os.ReadFile(filepath.Join(corpusDir, h.File))
		require.NoError(t, err)
		r.Value = append([]byte{}, value...)
	}
	return r
}

// TestHostileCorpus decodes the whole corpus as one batch.
func TestHostileCorpus(t *testing.T) {
	t.Parallel()
	if *update {
		writeCorpus(t)
	}
	entries := corpus(t)
	var records []schematest.Record
	var lines []string
	files := make(map[string]bool)
	for i, h := range entries {
		records = append(records, h.record(t, i))
		files[h.File] = true
		line, err := json.Marshal(h)
		require.NoError(t, err)
		lines = append(lines, string(line))
	}
	for i, got := range run(t, corpusConfig(), records...) {
		h := entries[i]
		assert.Equal(t, h.Outcome, got.Outcome, "%s, %s: %s", h.File, h.Tests, got.Detail)
		assert.Equal(t, h.Reason, got.Reason, "%s, %s: %s", h.File, h.Tests, got.Detail)
		if h.Outcome != schemas.OutcomeDeadLetter {
			var post struct {
				ID string `json:"post_id"`
			}
			require.NoError(t, json.Unmarshal(got.Post, &post), h.File)
			assert.Equal(t, h.Post, post.ID, h.File)
		}
	}

	// What lies there is what recipes makes, no more and no less.
	var want []string
	for _, r := range recipes() {
		line, err := json.Marshal(r.expected())
		require.NoError(t, err)
		want = append(want, string(line))
		if r.null {
			continue
		}
		value, err := os.ReadFile(filepath.Join(corpusDir, r.expected().File))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(r.value, value), "%s is not what recipes makes: go test ./stages/decode -run Corpus -update", r.file)
	}
	assert.Equal(t, want, lines)
	found, err := os.ReadDir(corpusDir)
	require.NoError(t, err)
	for _, f := range found {
		assert.True(t, files[f.Name()] || f.Name() == "expected.jsonl", "%s is in no line of expected.jsonl", f.Name())
	}
}

func writeCorpus(t *testing.T) {
	t.Helper()
	require.NoError(t, os.RemoveAll(corpusDir))
	require.NoError(t, os.MkdirAll(corpusDir, 0o750))
	var lines bytes.Buffer
	for _, r := range recipes() {
		line, err := json.Marshal(r.expected())
		require.NoError(t, err)
		lines.Write(append(line, '\n'))
		if !r.null {
			require.NoError(t, os.WriteFile(filepath.Join(corpusDir, r.file), r.value, 0o600))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(corpusDir, "expected.jsonl"), lines.Bytes(), 0o600))
}

// TestHostileMessagesTakeLittleMemory has messages of 2 MiB that hold as many
// of one thing as fit, and bounds what decoding allocates in all.
func TestHostileMessagesTakeLittleMemory(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const size = 2 << 20
	fill := func(before, piece, after string) string {
		return before + strings.Repeat(piece, (size-len(before)-len(after))/len(piece)) + after
	}
	var names strings.Builder
	for i := 0; names.Len() < size-100; i++ {
		fmt.Fprintf(&names, `"%x":0,`, i)
	}
	for name, value := range map[string]string{
		"images":          fill(`{"schema":"post.v1","post_id":"1","media":[`, `{},`, `{}]}`),
		"images, Bluesky": strings.Replace(embed("SOME"), "SOME", fill("", `{},`, `{}`), 1),
		"languages":       fill(`{"schema":"post.v1","post_id":"1","langs":[`, `"",`, `""]}`),
		"labels":          strings.Replace(commit(`{"text":"","labels":{"values":[SOME]}}`), "SOME", fill("", `{},`, `{}`), 1),
		"names":           `{"schema":"post.v1","post_id":"1","x":{` + names.String() + `"z":0}}`,
		"escapes":         fill(`{"schema":"post.v1","post_id":"1","text":"`, `\n`, `"}`),
		"text":            fill(`{"schema":"post.v1","post_id":"1","text":"`, `n`, `"}`),
		"nothing":         fill(`{"schema":"post.v1","post_id":"1","x":[`, `[],`, `[]]}`),
		"brackets":        fill(`{"schema":"post.v1","post_id":"1","x":`, `[`, ``),
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run(t, decode.DefaultConfig(), schematest.Record{Value: []byte(value)})
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16*size), name)
	}
}
