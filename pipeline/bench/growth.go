package main

import (
	"context"
	"fmt"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka"
)

const growthName = "7 growth"

// growthSpan is how long each of very many is measured.
const growthSpan = 5 * time.Second

// growthPart lets one thing grow at a time, with a model that costs next to
// nothing, so that it is the pipeline that shows; photos, too, where it is not
// they that grow. Workers beyond the machine's cores are to be compared by
// their processor time.
func growthPart(ctx context.Context, b *bench) error {
	topics := map[string]string{}
	backlogs := map[string]int{}
	fill := func(name string, s stream, partitions int32) error {
		w, err := newWriter(s, b.photos)
		if err != nil {
			return err
		}
		topics[name], backlogs[name] = "growth-"+name, b.backlog(s)
		b.say("writing %d posts of %s into %d partitions", backlogs[name], s.Name, partitions)
		if err := b.createTopicOf(ctx, topics[name], partitions); err != nil {
			return err
		}
		return b.produce(ctx, topics[name], w, backlogs[name])
	}
	for _, partitions := range []int32{1, 4, 16, 64} {
		if err := fill(fmt.Sprint(partitions), streamOf(icon), partitions); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := fill(fmt.Sprint(k.Width), streamOf(k), 4); err != nil {
			return err
		}
	}
	known := rings{}
	for range b.repeat {
		for _, row := range []struct {
			what   string
			values []int
			set    func(value int) (topic string, workers int, extra []string)
		}{
			{"partitions", []int{1, 4, 16, 64}, func(v int) (string, int, []string) { return fmt.Sprint(v), 1, nil }},
			{"workers", []int{1, 2, 4}, func(v int) (string, int, []string) { return "16", v, nil }},
			{"clusters", []int{4, 64, 1000, 10_000}, func(v int) (string, int, []string) {
				return "4", 1, []string{fmt.Sprintf("cluster.k=%d", v), fmt.Sprintf("cluster.bootstrap=%d", max(v, bootstrap))}
			}},
			{"rows a batch", []int{16, 64, 256, 1024}, func(v int) (string, int, []string) {
				return "4", 1, []string{fmt.Sprintf("batch.max_rows=%d", v), "decode.max_images=1"}
			}},
			{"pixels of an image's width", []int{icon.Width, small.Width, social.Width, phone.Width}, func(v int) (string, int, []string) {
				if v == icon.Width {
					return "4", 1, nil
				}
				return fmt.Sprint(v), 1, nil
			}},
		} {
			if err := b.grow(ctx, row.what, row.values, func(v int) (figures, error) {
				name, workers, extra := row.set(v)
				worker := b.ours(kafka.ExactlyOnce, append(extra, "model.bundle=model/testdata/tiny-bundle")...)
				worker.processes, worker.span = workers, min(b.span, growthSpan)
				if row.what == "clusters" {
					worker.warm = v // until there are centroids
				}
				return b.drain(ctx, worker, topics[name], backlogs[name])
			}); err != nil {
				return err
			}
		}
		if err := b.contention(ctx, known); err != nil {
			return err
		}
	}
	for _, topic := range topics {
		b.deleteTopic(ctx, topic)
	}
	return nil
}

// grow compares every value of something with its first.
func (b *bench) grow(ctx context.Context, what string, values []int, measure func(int) (figures, error)) error {
	var first figures
	for i, v := range values {
		b.say("%d %s", v, what)
		f, err := measure(v)
		if err != nil {
			return err
		}
		if i == 0 {
			first = f
			continue
		}
		name := fmt.Sprintf("%d ÷ %d %s", v, values[0], what)
		b.table.add(about{growthName, name, "posts/s", goal{}, ""}, f.rate, first.rate)
		b.table.add(about{growthName, name, "CPU ms/post", goal{}, ""}, f.cpu, first.cpu)
		b.table.add(about{growthName, name, "MB", goal{}, ""}, f.peakMB, first.peakMB)
	}
	return ctx.Err()
}
