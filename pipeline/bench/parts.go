package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/model/tokenize"
)

const partOfParts = "4 parts"

// partsPart compares single parts with what a Python or Go program would take
// for them. All but Kafka's are per second of one core.
func partsPart(ctx context.Context, b *bench) error {
	for range b.repeat {
		for _, measure := range []func(context.Context) error{b.tokenizers, b.images, b.clusterings, b.decoding, b.kafkas} {
			if err := measure(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// perSecond calls do again and again, and returns how much of what it returns
// was done in a second of processor time. do must keep to one thread.
func perSecond(do func(i int) int) float64 {
	do(0)
	const span = 1500 * time.Millisecond
	began, done := processorTime(), 0
	for i := 1; ; i++ {
		done += do(i)
		if took := processorTime() - began; took > span {
			return float64(done) / took.Seconds()
		}
	}
}

// timePython runs a part of parts.py.
func (b *bench) timePython(ctx context.Context, args ...string) (float64, error) {
	b.say("python: %s", strings.Join(args[:min(2, len(args))], " "))
	cmd := exec.CommandContext(ctx, b.python, append([]string{filepath.Join(sources(), "peer_python", "parts.py")}, args...)...) //nolint:gosec // our own program
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("parts.py %s: %w\n%s", args[0], err, messages.String())
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

func (b *bench) tokenizers(ctx context.Context) error {
	texts, err := sentences()
	if err != nil {
		return err
	}
	list, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "texts.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return err
	}
	vocabulary, err := os.Open(filepath.Join(b.bundle, "vocab.txt"))
	if err != nil {
		return err
	}
	defer vocabulary.Close()
	words, err := tokenize.NewWordPiece(vocabulary, true, 128)
	if err != nil {
		return err
	}
	b.say("tokenizer")
	var ids []int64
	ours := perSecond(func(i int) int {
		ids = words.Encode(ids[:0], texts[i%len(texts)])
		return 1
	})
	other, err := b.timePython(ctx, "tokens", b.bundle, file)
	b.table.add(about{partOfParts, "WordPiece, single texts ÷ HF tokenizers", "texts/s", goal{atLeast: 1.5}, "per core"}, ours, other)
	return err
}

func (b *bench) images(ctx context.Context) error {
	m, err := model.Open(b.bundle, model.Options{Device: "cpu"}) //nolint:contextcheck // opening ends by itself
	if err != nil {
		return err
	}
	drawing := drawingOf(m)
	if err := m.Close(); err != nil {
		return err
	}
	to := make([]uint8, drawing.Transform.Size())
	for _, k := range kinds {
		w, err := newWriter(streamOf(k), b.photos)
		if err != nil {
			return err
		}
		b.say("images of %s", k.Name)
		files := w.files[k.Name]
		var failed error
		ours := perSecond(func(i int) int {
			if err := drawing.Draw(to, files[i%len(files)]); err != nil {
				failed = err
			}
			return 1
		})
		if failed != nil {
			return failed
		}
		var paths []string
		for i := range k.Count {
			paths = append(paths, photoFile(b.photos, k, i))
		}
		for _, how := range []string{"full", "draft"} {
			other, err := b.timePython(ctx, append([]string{"images", how}, paths...)...)
			if err != nil {
				return err
			}
			b.table.add(about{partOfParts, fmt.Sprintf("JPEG to pixels, %s ÷ PIL, %s", k.Name, how), "images/s", goal{}, "per core"}, ours, other)
		}
	}
	return nil
}
