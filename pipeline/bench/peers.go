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

// What is said to the Python peer, and to the pipeline for the same: large JPEGs
// are decoded at a smaller scale, so that their pixels are others.
const (
	exactlyOnce = "--exactly-once"
	fullDecode  = "--full"
	draft       = "media.draft=true"
)

const peersName = "2 peers"

// peersPart compares the pipeline with the Python peer and with what the cores
// allow, on the mix. Whoever decodes in full is compared with whoever does.
func peersPart(ctx context.Context, b *bench) error {
	const topic = "peers-mix"
	n := b.backlog(mixStream)
	if err := b.fill(ctx, topic, mixStream, n); err != nil {
		return err
	}
	for range b.repeat {
		graphs, err := b.limit(ctx, limitGraphs, mixStream)
		if err != nil {
			return err
		}
		photos, err := b.limit(ctx, limitPhotos, mixStream)
		if err != nil {
			return err
		}
		var got [7]figures
		for i, w := range []worker{
			b.ours(kafka.ExactlyOnce), b.peer("full", 1, exactlyOnce, fullDecode), b.peer("full-two", 2, exactlyOnce, fullDecode),
			b.ours(kafka.AtLeastOnce), b.peer("full-at-least-once", 1, fullDecode),
			b.ours(kafka.ExactlyOnce, draft), b.peer("draft", 1, exactlyOnce),
		} {
			if got[i], err = b.drain(ctx, w, topic, n); err != nil {
				return err
			}
		}
		once, one, two, least, oneLeast, drafted, oneDraft := got[0], got[1], got[2], got[3], got[4], got[5], got[6]
		add := func(what, unit string, g goal, note string, ours, other float64) {
			b.table.add(about{peersName, what, unit, g, note}, ours, other)
		}
		add("exactly once ÷ Python, same pixels", "posts/s", goal{atLeast: 1.12}, "full decode on both sides", once.rate, one.rate)
		add("exactly once ÷ Python, same pixels", "CPU ms/post", goal{}, "", once.cpu, one.cpu)
		add("exactly once ÷ Python, same pixels", "MB", goal{atMost: 0.5}, "peak of resident memory", once.peakMB, one.peakMB)
		add("exactly once ÷ Python, same pixels, two processes", "posts/s", goal{}, "", once.rate, two.rate)
		add("exactly once ÷ Python, same pixels, two processes", "MB", goal{}, "", once.peakMB, two.peakMB)
		add("exactly once ÷ Python, both with draft", "posts/s", goal{atLeast: 1.12}, "large JPEGs at a smaller scale", drafted.rate, oneDraft.rate)
		add("exactly once ÷ Python, both with draft", "CPU ms/post", goal{}, "", drafted.cpu, oneDraft.cpu)
		add("exactly once ÷ Python, both with draft", "MB", goal{atMost: 0.5}, "", drafted.peakMB, oneDraft.peakMB)
		add("exactly once in full ÷ Python with draft", "posts/s", goal{}, "other pixels", once.rate, oneDraft.rate)
		add("at least once ÷ Python, same pixels", "posts/s", goal{}, "", least.rate, oneLeast.rate)
		add("exactly once ÷ JPEG decode and graphs", "posts/s", goal{atLeast: 0.97}, "what the cores allow", once.rate, photos.rate)
		add("exactly once ÷ JPEG decode and graphs", "CPU ms/post", goal{}, "", once.cpu, photos.cpu)
		add("exactly once ÷ at least once", "posts/s", goal{atLeast: 0.9}, "", once.rate, least.rate)
		add("Python, exactly once ÷ at least once", "posts/s", goal{}, "", one.rate, oneLeast.rate)
		add("peak above the bare model's ÷ 200 MB", "MB", goal{atMost: 1}, fmt.Sprintf("a backlog of %d posts", n), max(1, once.peakMB-graphs.peakMB), aboveModel)
	}
	b.deleteTopic(ctx, topic)
	return repeatedPhotos(ctx, b)
}

// repeatedPhotos compares the two where three photos of ten have come before: the
// pipeline knows photos and texts again, and both decode with draft.
func repeatedPhotos(ctx context.Context, b *bench) error {
	const topic = "peers-viral"
	n := b.backlog(viral)
	if err := b.fill(ctx, topic, viral, n); err != nil {
		return err
	}
	for range b.repeat {
		ours, err := b.drain(ctx, b.ours(kafka.ExactlyOnce, draft), topic, n)
		if err != nil {
			return err
		}
		peer, err := b.drain(ctx, b.peer("draft", 1, exactlyOnce), topic, n)
		if err != nil {
			return err
		}
		a := about{peersName, "caches and draft ÷ Python with draft, 30 % of photos repeated", "posts/s", goal{atLeast: 1.7}, ""}
		b.table.add(a, ours.rate, peer.rate)
		a.unit, a.goal = "CPU ms/post", goal{}
		b.table.add(a, ours.cpu, peer.cpu)
	}
	b.deleteTopic(ctx, topic)
	return nil
}
