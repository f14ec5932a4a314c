package media

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	corpusDir      = "testdata/hostile"
	corpusMaxBytes = 32 << 10

	// What the detail says of a panic that model/pixels has caught: no image may need that.
	panicked = "the decoder failed on it"
)

// hostile is a line of expected.jsonl.
type hostile struct {
	File   string         `json:"file"`
	Reason schemas.Reason `json:"reason,omitempty"` // none: the image is read
	Tests  string         `json:"tests"`
}

// corpusStage has limits that small files can exceed, and no cache.
func corpusStage(t testing.TB) *Stage {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Workers, cfg.MaxBytes, cfg.MaxPixels, cfg.MaxSide, cfg.DecodePixels, cfg.CacheBytes = 1, corpusMaxBytes, 2048*2048, 4096, 2*2048*2048, 0
	s, err := New(cfg, Settings{
		Fetcher: &web{}, Seer: &eye{}, Transform: testTransform, Orient: true, Alloc: memory.DefaultAllocator, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return s
}

// TestHostileCorpus puts every file of the corpus through the stage, one at a time. What all of them allocate is bounded by what
// pixels.Room says of them, which is what the stage's own budget counts.
func TestHostileCorpus(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	if *update {
		writeCorpus(t)
	}
	manifest, err := os.ReadFile(filepath.Join(corpusDir, "expected.jsonl"))
	require.NoError(t, err)
	s := corpusStage(t)
	made := recipes(t)
	files := make(map[string]bool)
	n := 0
	for line := range bytes.Lines(manifest) {
		var h hostile
		require.NoError(t, json.Unmarshal(line, &h))
		data, err := os.ReadFile(filepath.Join(corpusDir, h.File))
		require.NoError(t, err)
		assert.False(t, files[h.File], "%s comes twice", h.File)
		files[h.File] = true

		// What lies there is what recipes makes.
		require.Less(t, n, len(made), "%s is made by no recipe", h.File)
		r := made[n]
		n++
		require.Equal(t, [2]string{r.file, r.tests}, [2]string{h.File, h.Tests})
		assert.True(t, bytes.Equal(r.data, data), "%s is not what recipes makes: go test ./stages/media -run Corpus -update", h.File)
		if r.reason != byDecoder {
			assert.Equal(t, r.reason, h.Reason, h.File)
		}

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, detail := outcomeOf(t, s, data)
		runtime.ReadMemStats(&after)
		assert.Equal(t, h.Reason, got, "%s, %s: %s", h.File, h.Tests, detail)
		assert.NotContains(t, detail, panicked, h.File)
		limit := uint64(4<<20 + 40*pixels.Room(data, s.limits()) + 16*int64(len(data)))
		if got == tooLarge || got == notImage {
			limit = 4 << 20
		}
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, limit, "%s allocates too much", h.File)
	}
	require.Equal(t, len(made), n, "recipes that are not in %s", corpusDir)
	found, err := os.ReadDir(corpusDir)
	require.NoError(t, err)
	for _, f := range found {
		assert.True(t, files[f.Name()] || f.Name() == "expected.jsonl", "%s is in no line of expected.jsonl", f.Name())
	}
}

// outcomeOf has one image pass through the stage.
func outcomeOf(t *testing.T, s *Stage, data []byte) (reason schemas.Reason, detail string) {
	t.Helper()
	if data == nil {
		data = []byte{}
	}
	// Far beyond what any may take: it is there for the one that never ends.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := batchOf(s.settings.Alloc, post{pairs: []pair{{image: data}}})
	defer b.Release()
	require.NoError(t, s.Process(ctx, b))
	reasons := schemas.Col[*array.String](b.Pairs(), schemas.PairFailure)
	if reasons.IsValid(0) {
		reason = schemas.Reason(reasons.Value(0))
		detail = schemas.Col[*array.String](b.Pairs(), schemas.PairDetail).Value(0)
	}
	return reason, detail
}

func writeCorpus(t *testing.T) {
	t.Helper()
	require.NoError(t, os.RemoveAll(corpusDir))
	require.NoError(t, os.MkdirAll(corpusDir, 0o750))
	s := corpusStage(t)
	var lines bytes.Buffer
	for _, r := range recipes(t) {
		if r.reason == byDecoder {
			r.reason, _ = outcomeOf(t, s, r.data)
		}
		line, err := json.Marshal(hostile{File: r.file, Reason: r.reason, Tests: r.tests})
		require.NoError(t, err)
		lines.Write(append(line, '\n'))
		require.NoError(t, os.WriteFile(filepath.Join(corpusDir, r.file), r.data, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(corpusDir, "expected.jsonl"), lines.Bytes(), 0o600))
}

// FuzzStage has any bytes pass through the stage, starting from the corpus: they are an image, or no image for one of four
// reasons, and no decoder panics on them.
func FuzzStage(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(corpusDir, "*"))
	require.NoError(f, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
	s := corpusStage(f)
	s.cfg.MaxPixels, s.cfg.MaxSide = 1<<16, 1<<10
	f.Fuzz(func(t *testing.T, data []byte) {
		reason, detail := outcomeOf(t, s, data)
		require.Contains(t, []schemas.Reason{fine, notImage, corrupt, tooLarge}, reason)
		require.Equal(t, reason == fine, detail == "")
		require.LessOrEqual(t, len(detail), maxDetail)
		require.NotContains(t, detail, panicked)
	})
}
