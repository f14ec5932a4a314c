package main

import (
	"context"
	"fmt"

	"github.com/itrstream/itrstream/connectors/kafka"
)

// growthPart lets one thing grow at a time, on photos and a model that cost
// next to nothing, so that it is the pipeline that shows. Workers beyond the
// machine's cores are to be compared by their processor time.
func growthPart(ctx context.Context, b *bench) error {
	w, err := newWriter(streamOf(icon), b.photos)
	if err != nil {
		return err
	}
	topics := map[int32]string{}
	n := b.backlog(streamOf(icon))
	for _, partitions := range []int32{1, 4, 16, 64} {
		topic := fmt.Sprintf("growth-%d", partitions)
		b.say("writing %d posts into %d partitions", n, partitions)
		if err := b.createTopicOf(ctx, topic, partitions); err != nil {
			return err
		}
		if err := b.produce(ctx, topic, w, n); err != nil {
			return err
		}
		topics[partitions] = topic
	}
	for range b.repeat {
		for _, row := range []struct {
			what   string
			values []int
			set    func(value int) (partitions int32, workers int, extra []string)
		}{
			{"partitions", []int{1, 4, 16, 64}, func(v int) (int32, int, []string) { return int32(v), 1, nil }}, //nolint:gosec // one of these
			{"workers", []int{1, 2, 4}, func(v int) (int32, int, []string) { return 16, v, nil }},
			{"clusters", []int{4, 64, 1000, 10_000}, func(v int) (int32, int, []string) {
				return 4, 1, []string{fmt.Sprintf("cluster.k=%d", v), fmt.Sprintf("cluster.bootstrap=%d", max(v, bootstrap))}
			}},
			{"rows a batch", []int{16, 64, 256, 1024}, func(v int) (int32, int, []string) {
				return 4, 1, []string{fmt.Sprintf("batch.max_rows=%d", v), "decode.max_images=1"}
			}},
		} {
			if err := b.grow(ctx, row.what, row.values, func(v int) (figures, error) {
				partitions, workers, extra := row.set(v)
				worker := b.ours(kafka.ExactlyOnce, append(extra, "model.bundle=model/testdata/tiny-bundle")...)
				worker.processes = workers
				if row.what == "clusters" {
					worker.warm = v // until there are centroids
				}
				return b.drain(ctx, worker, topics[partitions], n)
			}); err != nil {
				return err
			}
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
		b.table.add(about{"7 growth", name, "posts/s", goal{}, ""}, f.rate, first.rate)
		b.table.add(about{"7 growth", name, "CPU ms/post", goal{}, ""}, f.cpu, first.cpu)
		b.table.add(about{"7 growth", name, "MB", goal{}, ""}, f.peakMB, first.peakMB)
	}
	return ctx.Err()
}
