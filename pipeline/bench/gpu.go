package main

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/stages"
)

// gpuName begins the names of the parts, one for each bundle.
const gpuName = "9 gpu, "

// gpuSettings keep two runs of as many pairs in flight as the bare loop has.
var gpuSettings = []string{fmt.Sprintf("infer.max_batch=%d", cudaGroup), "infer.runs=2", fmt.Sprintf("batch.max_rows=%d", cudaGroup)}

// gpuPart compares the pipeline with a bare loop on the same device at the same
// batch, JPEG decode included, and tells how many cores decode as fast as the
// device labels. --device cpu rehearses it.
func gpuPart(ctx context.Context, b *bench) error {
	if err := b.endsInOrder(ctx); err != nil {
		return err
	}
	part := gpuName + filepath.Base(b.bundle)
	for _, s := range []stream{streamOf(small), mixStream} {
		n := b.backlog(s)
		topic := "gpu-" + s.Name
		if err := b.fill(ctx, topic, s, n); err != nil {
			return err
		}
		for range b.repeat {
			var bare [3]figures
			for i, what := range []string{limitGraphs, limitDecode, limitPhotos} {
				var err error
				if bare[i], err = b.limit(ctx, what, s); err != nil {
					return err
				}
			}
			ours, err := b.drain(ctx, b.ours(kafka.ExactlyOnce, gpuSettings...), topic, n)
			if err != nil {
				return err
			}
			note := fmt.Sprintf("%s, batches of %d, embedded services: %t", b.device, cudaGroup, b.embedded)
			b.table.add(about{part, "pipeline ÷ JPEG decode and graphs, " + s.Name, "posts/s", goal{atLeast: 0.95}, note}, ours.rate, bare[2].rate)
			b.table.add(about{part, "pipeline ÷ graphs alone, " + s.Name, "posts/s", goal{}, ""}, ours.rate, bare[0].rate)
			b.table.add(about{part, "cores that decode as fast as the graphs run ÷ cores of this machine, " + s.Name, "cores", goal{}, ""},
				bare[0].rate*bare[1].cpu/1000, float64(b.table.Hardware.Cores))
			b.table.add(about{part, "pipeline ÷ JPEG decode and graphs, " + s.Name, "CPU ms/post", goal{}, ""}, ours.cpu, bare[2].cpu)
		}
		b.deleteTopic(ctx, topic)
	}
	return nil
}

// endsInOrder sees a worker end well on an interrupt: CUDA takes over the signal
// handlers of a process, and a Go program that does not take them back panics.
func (b *bench) endsInOrder(ctx context.Context) error {
	const topic, posts = "gpu-signals", 64
	if err := b.fill(ctx, topic, streamOf(small), posts); err != nil {
		return err
	}
	defer b.deleteTopic(ctx, topic)
	s, err := b.startWorkers(ctx, b.ours(kafka.ExactlyOnce), topic)
	if err != nil {
		return err
	}
	defer s.stop()
	for asked := time.Now(); ; {
		if err := s.broken(); err != nil {
			return err
		}
		done, err := b.committed(ctx, s.group, topic)
		if err != nil {
			return err
		}
		if done == posts {
			break
		}
		if time.Since(asked) > startWithin {
			return fmt.Errorf("%d of %d posts within %s%s", done, posts, startWithin, s.processes[0].Tail())
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	p := s.processes[0]
	p.Signal(syscall.SIGINT)
	for asked := time.Now(); !p.Over(); {
		if time.Since(asked) > stopWithin {
			return fmt.Errorf("the worker does not end on an interrupt%s", p.Tail())
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	if p.Err() != nil {
		return fmt.Errorf("the worker does not end in order on an interrupt: %w%s", p.Err(), p.Tail())
	}
	b.say("an interrupt ends the worker in order")
	return nil
}
