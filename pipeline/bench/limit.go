package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// The limit is what the cores allow: the bundle's graphs in a bare loop of ONNX
// Runtime (loop.go), with nothing around it: no Kafka, no Redis, no batches,
// nobody who waits for somebody.
const (
	limitGraphs = "graphs" // on tensors that are ready
	limitPhotos = "photos" // JPEG files are decoded and scaled first
	limitDecode = "decode" // that alone
)

// limit measures the limit in a process of its own.
func (b *bench) limit(ctx context.Context, what string, s stream) (figures, error) {
	return b.limitOf(ctx, b.bundle, what, s, b.span/2)
}

func (b *bench) limitOf(ctx context.Context, bundle, what string, s stream, span time.Duration) (figures, error) {
	b.say("limit: %s of %s", what, s.Name)
	cmd := exec.CommandContext(ctx, b.self, "limit", "--what", what, "--stream", s.Name, "--bundle", bundle, //nolint:gosec // ourselves
		"--device", b.device, "--photos", b.photos, "--span", span.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return figures{}, fmt.Errorf("limit: %w", err)
	}
	var got struct {
		Rate, CPU, PeakMB float64
		Rows              [2]int
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return figures{}, fmt.Errorf("limit: %w", err)
	}
	b.say("  %s posts/s, %s ms a post, %s MB, runs of %d images and %d texts", short(got.Rate), short(got.CPU), short(got.PeakMB), got.Rows[0], got.Rows[1])
	return figures{rate: got.Rate, cpu: got.CPU, peakMB: got.PeakMB}, nil
}

func limitCommand() *cobra.Command {
	var what, name, bundle, device, photos string
	var span time.Duration
	cmd := &cobra.Command{
		Use:    "limit",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := streamNamed(name)
			if err != nil {
				return err
			}
			w, err := newWriter(s, photos)
			if err != nil {
				return err
			}
			l, err := openLoop(bundle, device, what, w)
			if err != nil {
				return err
			}
			rate, cpu, err := l.measure(span)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(map[string]any{
				"Rate": rate, "CPU": cpu, "PeakMB": usage(os.Getpid()).peakMB(), "Rows": [2]int{l.imageRows, l.textRows},
			})
		},
	}
	cmd.Flags().StringVar(&what, "what", limitGraphs, "graphs, photos or decode")
	cmd.Flags().StringVar(&name, "stream", mixStream.Name, "which photos")
	cmd.Flags().StringVar(&bundle, "bundle", "", "model folder")
	cmd.Flags().StringVar(&device, "device", "cpu", "cpu or cuda:N")
	cmd.Flags().StringVar(&photos, "photos", "", "folder with photos")
	cmd.Flags().DurationVar(&span, "span", time.Second, "how long")
	return cmd
}

const limitName = "1 limit"

// limitPart compares the pipeline with the limit, photos of one size at a
// time; the mix is in peersPart.
func limitPart(ctx context.Context, b *bench) error {
	graphs := make([]figures, b.repeat)
	for _, s := range []stream{streamOf(small), streamOf(social), streamOf(phone)} {
		n := b.backlog(s)
		topic := "limit-" + s.Name
		if err := b.fill(ctx, topic, s, n); err != nil {
			return err
		}
		for i := range b.repeat {
			var err error
			if graphs[i] == (figures{}) { // the same whatever the photos were
				if graphs[i], err = b.limit(ctx, limitGraphs, s); err != nil {
					return err
				}
			}
			photos, err := b.limit(ctx, limitPhotos, s)
			if err != nil {
				return err
			}
			ours, err := b.drain(ctx, b.ours("exactly_once"), topic, n)
			if err != nil {
				return err
			}
			b.table.add(about{limitName, "pipeline ÷ graphs alone, " + s.Name, "posts/s", goal{}, ""}, ours.rate, graphs[i].rate)
			b.table.add(about{limitName, "pipeline ÷ JPEG decode and graphs, " + s.Name, "posts/s", goal{}, ""}, ours.rate, photos.rate)
			b.table.add(about{limitName, "pipeline ÷ JPEG decode and graphs, " + s.Name, "CPU ms/post", goal{}, ""}, ours.cpu, photos.cpu)
		}
		b.deleteTopic(ctx, topic)
	}
	return b.fullSizePart(ctx)
}

// fullSizePart compares the two where the model is the bottleneck: two towers
// of 196 M parameters, random ones. A post costs a third of a second, so batches
// are small: what is measured lies between two commits.
func (b *bench) fullSizePart(ctx context.Context) error {
	bundle, err := b.fullSize(ctx)
	if err != nil {
		return err
	}
	s, span := streamOf(small), 3*b.span
	n := 12 * int(span.Seconds()) * b.table.Hardware.Cores
	const topic = "limit-full-size"
	if err := b.fill(ctx, topic, s, n); err != nil {
		return err
	}
	for range b.repeat {
		bare, err := b.limitOf(ctx, bundle, limitGraphs, s, span/2)
		if err != nil {
			return err
		}
		w := b.ours("exactly_once", "model.bundle="+bundle, "batch.max_rows=16")
		w.span = span
		ours, err := b.drain(ctx, w, topic, n)
		if err != nil {
			return err
		}
		note := "BERT-base and ViT-B/16, random weights, batches of 16"
		b.table.add(about{limitName, "pipeline ÷ graphs alone, full-size towers, " + s.Name, "posts/s", goal{atLeast: 0.97}, note}, ours.rate, bare.rate)
		b.table.add(about{limitName, "pipeline ÷ graphs alone, full-size towers, " + s.Name, "CPU ms/post", goal{}, ""}, ours.cpu, bare.cpu)
	}
	b.deleteTopic(ctx, topic)
	return nil
}

// fullSize is a folder with those towers, made when it is not there.
func (b *bench) fullSize(ctx context.Context) (string, error) {
	bundle := filepath.Join(b.cache, "full-size-1")
	if _, err := os.Stat(filepath.Join(bundle, "bundle.yaml")); err == nil {
		return bundle, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	b.say("making two towers in full size")
	part := bundle + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, b.python, filepath.Join(sources(), "peer_python", "full_size.py"), b.bundle, part) //nolint:gosec // our own program
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("full_size.py: %w\n%s", err, out)
	}
	return bundle, os.Rename(part, bundle)
}
