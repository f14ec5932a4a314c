package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/itrstream/itrstream/connectors/kafka"
)

// peer is the Python peer with these further flags.
func (b *bench) peer(name string, processes int, flags ...string) worker {
	return worker{name: "python-" + name, processes: processes, command: func(n names) ([]string, string, []string) {
		threads := max(1, b.table.Hardware.Cores/processes)
		return nil, b.python, append([]string{
			filepath.Join(sources(), "peer_python"), "--brokers", n.brokers, "--redis", n.redis, "--posts", n.posts, "--results", n.results, "--group", n.group,
			"--process", fmt.Sprint(n.process), "--bundle", b.bundle, "--threads", fmt.Sprint(threads),
			"--k", fmt.Sprint(clusters), "--bootstrap", fmt.Sprint(bootstrap),
		}, flags...)
	}}
}

// sources is the folder of this package, with what is no Go beside it.
func sources() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

const exactlyOnce = "--exactly-once"

// peersPart compares the pipeline with the Python peer on the mix.
func peersPart(ctx context.Context, b *bench) error {
	const part, topic = "2 peers", "peers-mix"
	n := b.backlog(mixStream)
	if err := b.fill(ctx, topic, mixStream, n); err != nil {
		return err
	}
	for range b.repeat {
		limit, err := b.limit(ctx, limitPhotos, mixStream)
		if err != nil {
			return err
		}
		got := map[string]figures{}
		for _, w := range []worker{
			b.ours(kafka.ExactlyOnce), b.peer("exactly-once", 1, exactlyOnce), b.peer("two", 2, exactlyOnce), b.peer("full", 1, exactlyOnce, "--full"),
			b.ours(kafka.AtLeastOnce), b.peer("at-least-once", 1),
		} {
			if got[w.name], err = b.drain(ctx, w, topic, n); err != nil {
				return err
			}
		}
		once, least := got["itrstream-"+kafka.ExactlyOnce], got["itrstream-"+kafka.AtLeastOnce]
		one, two, full := got["python-exactly-once"], got["python-two"], got["python-full"]
		b.table.add(about{part, "exactly once ÷ Python, one process", "posts/s", goal{atLeast: 1.12}, "PIL with draft: other pixels"}, once.rate, one.rate)
		b.table.add(about{part, "exactly once ÷ Python, one process", "CPU ms/post", goal{}, ""}, once.cpu, one.cpu)
		b.table.add(about{part, "exactly once ÷ Python, one process", "MB", goal{atMost: 0.5}, "peak of resident memory"}, once.peakMB, one.peakMB)
		b.table.add(about{part, "exactly once ÷ Python, two processes", "posts/s", goal{atLeast: 1.12}, ""}, once.rate, two.rate)
		b.table.add(about{part, "exactly once ÷ Python, two processes", "MB", goal{atMost: 0.5}, ""}, once.peakMB, two.peakMB)
		b.table.add(about{part, "exactly once ÷ Python, same pixels", "posts/s", goal{atLeast: 1.12}, "PIL without draft"}, once.rate, full.rate)
		b.table.add(about{part, "exactly once ÷ Python, same pixels", "CPU ms/post", goal{}, ""}, once.cpu, full.cpu)
		b.table.add(about{part, "at least once ÷ Python, one process", "posts/s", goal{}, ""}, least.rate, got["python-at-least-once"].rate)
		b.table.add(about{part, "exactly once ÷ JPEG decode and graphs", "posts/s", goal{atLeast: 0.97}, "what the cores allow"}, once.rate, limit.rate)
		b.table.add(about{part, "exactly once ÷ at least once", "posts/s", goal{atLeast: 0.9}, ""}, once.rate, least.rate)
		b.table.add(about{part, "Python, exactly once ÷ at least once", "posts/s", goal{}, ""}, one.rate, got["python-at-least-once"].rate)
	}
	b.deleteTopic(ctx, topic)
	return repeatedPhotos(ctx, b, part)
}

// repeatedPhotos compares the two where three photos of ten have come before:
// the pipeline knows photos by their digest.
func repeatedPhotos(ctx context.Context, b *bench, part string) error {
	const topic = "peers-viral"
	n := b.backlog(viral)
	if err := b.fill(ctx, topic, viral, n); err != nil {
		return err
	}
	for range b.repeat {
		ours, err := b.drain(ctx, b.ours(kafka.ExactlyOnce), topic, n)
		if err != nil {
			return err
		}
		peer, err := b.drain(ctx, b.peer("exactly-once", 1, exactlyOnce), topic, n)
		if err != nil {
			return err
		}
		a := about{part, "exactly once ÷ Python, 30 % of photos repeated", "posts/s", goal{atLeast: 1.7}, ""}
		b.table.add(a, ours.rate, peer.rate)
		a.unit, a.goal = "CPU ms/post", goal{}
		b.table.add(a, ours.cpu, peer.cpu)
	}
	b.deleteTopic(ctx, topic)
	return nil
}
