package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/schemas"
)

const partOfDrafts = "draft"

// agreementTexts is how many texts each photo is shown with.
const agreementTexts = 128

// draftPart compares media.draft with full decoding: what it saves, and whose
// labels change. A photo counts if a draft of it has other pixels.
func draftPart(ctx context.Context, b *bench) (err error) {
	m, err := model.Open(b.bundle, model.Options{Device: "cpu"}) //nolint:contextcheck // opening ends by itself
	if err != nil {
		return err
	}
	defer func() {
		if closed := m.Close(); err == nil {
			err = closed
		}
	}()
	full := drawingOf(m)
	draft := full
	draft.Draft = true
	for _, k := range kinds {
		w, err := newWriter(streamOf(k), b.photos)
		if err != nil {
			return err
		}
		b.say("drafts of %s", k.Name)
		var in model.Input
		files := w.files[k.Name]
		for _, file := range files {
			whole, drafted := make([]byte, full.Transform.Size()), make([]byte, full.Transform.Size())
			if err := full.Draw(whole, file); err != nil {
				return err
			}
			if err := draft.Draw(drafted, file); err != nil {
				return err
			}
			if bytes.Equal(whole, drafted) {
				continue
			}
			seen := [2][]float32{make([]float32, m.ImageWidth()), make([]float32, m.ImageWidth())}
			if err := errors.Join(m.See(ctx, whole, seen[0]), m.See(ctx, drafted, seen[1])); err != nil {
				return err
			}
			for _, text := range w.texts[:agreementTexts] {
				in.Texts, in.Images = append(in.Texts, text, text), append(in.Images, seen[0], seen[1])
			}
		}
		if len(in.Images) == 0 {
			continue // drafts are for larger pictures
		}
		out, err := m.Encode(ctx, in)
		if err != nil {
			return err
		}
		same, apart := agree(out.Scores)
		b.table.add(about{
			partOfDrafts, fmt.Sprintf("labels of %s that stay ÷ all", k.Name), "labels",
			goal{},
			fmt.Sprintf("a probability moves by %.3f on average, at most by %.3f", apart.mean, apart.most),
		}, float64(same), float64(len(in.Texts)/2))
		for range b.repeat {
			var failed error
			to := make([]byte, full.Transform.Size())
			rate := func(draw func(dst, data []byte) error) float64 {
				return perSecond(func(i int) int {
					if err := draw(to, files[i%len(files)]); err != nil {
						failed = err
					}
					return 1
				})
			}
			ours, other := rate(draft.Draw), rate(full.Draw)
			if failed != nil {
				return failed
			}
			b.table.add(about{partOfDrafts, fmt.Sprintf("JPEG to pixels, %s, draft ÷ full", k.Name), "images/s", goal{}, "per core"}, ours, other)
		}
	}
	return nil
}

// distance is how far probabilities lie from those of the full picture.
type distance struct{ mean, most float64 }

// agree compares each second row of scores with the one before.
func agree(scores []float32) (same int, d distance) {
	n := schemas.Relations
	rows := len(scores) / 2 / n
	for ; len(scores) > 0; scores = scores[2*n:] {
		full, draft := scores[:n], scores[n:2*n]
		if slices.Index(full, slices.Max(full)) == slices.Index(draft, slices.Max(draft)) {
			same++
		}
		for i, p := range full {
			off := float64(max(p-draft[i], draft[i]-p))
			d.mean += off
			d.most = max(d.most, off)
		}
	}
	d.mean /= float64(rows * n)
	return same, d
}
