package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/itrstream/itrstream/pipeline/session"
	"github.com/itrstream/itrstream/stages"
)

// worker is a program that reads posts and writes results.
type worker struct {
	name string
	// processes is how many of it share the group.
	processes int
	// warm is how many posts it must have committed before it is measured.
	warm int
	// span is how long it is measured; 0: as long as all are.
	span time.Duration
	// profiled says that it takes a CPU profile while it is measured.
	profiled bool
	// command says how to start one of them.
	command func(names) (env []string, program string, args []string)
}

// names are what a run's workers are told.
type names struct {
	brokers, redis, posts, results, group string
	// process is which of worker.processes it is.
	process int
}

// figures are what a run of workers gave.
type figures struct {
	rate   float64 // posts a second
	cpu    float64 // milliseconds of processor time a post
	peakMB float64 // of all processes together
	posts  int
	// profiled is the processor time of the worker's profile.
	profiled time.Duration
}

// lookEvery is how often the group's progress is asked for.
const lookEvery = 25 * time.Millisecond

// startWithin is how long workers may take until their first commit.
const startWithin = 90 * time.Second

// child is a worker's process.
type child struct {
	*session.Process
	usage
}

// started are running workers.
type started struct {
	names
	b         *bench
	processes []child
}

func (b *bench) startWorkers(ctx context.Context, w worker, posts string) (*started, error) {
	b.runs++
	run := fmt.Sprintf("%s-%03d", w.name, b.runs)
	s := &started{b: b, names: names{brokers: b.brokers[0], redis: b.redis, posts: posts, results: run + "-results", group: run}}
	if err := b.createTopic(ctx, s.results); err != nil {
		return nil, err
	}
	for i := range w.processes {
		s.process = i
		env, program, args := w.command(s.names)
		p, err := session.Start(filepath.Join(b.dir, fmt.Sprintf("%s-%d.log", run, i)), env, program, args...)
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		s.processes = append(s.processes, child{p, usage(p.PID())})
	}
	return s, nil
}

func (s *started) stop() {
	for _, p := range s.processes {
		if p.Stop(stopWithin) != nil {
			p.Kill()
		}
	}
}

// stopWithin is how long a worker may take for what is in flight. What it would
// write after that, a profile above all, is lost.
const stopWithin = 25 * time.Second

// profile begins or ends a worker's profile, and returns the processor time that it
// has taken until then.
func (s *started) profile(w worker, signal syscall.Signal) time.Duration {
	if !w.profiled {
		return 0
	}
	s.processes[0].Signal(signal)
	return s.cpu()
}

func (s *started) broken() error {
	for _, p := range s.processes {
		if p.Over() {
			return fmt.Errorf("%s ended by itself: %w%s", s.group, p.Err(), p.Tail())
		}
	}
	return nil
}

func (s *started) cpu() (sum time.Duration) {
	for _, p := range s.processes {
		sum += p.cpu()
	}
	return sum
}

func (s *started) peakMB() (sum float64) {
	for _, p := range s.processes {
		sum += p.peakMB()
	}
	return sum
}

// drain lets workers take a backlog of n posts, and measures them, after a
// quarter of the span to warm up, until the span is over or nothing is left. Both
// ends of the measured time are moments of a commit.
func (b *bench) drain(ctx context.Context, w worker, topic string, n int) (figures, error) {
	b.say("%s on %s", w.name, topic)
	span := cmp.Or(w.span, b.span)
	s, err := b.startWorkers(ctx, w, topic)
	if err != nil {
		return figures{}, err
	}
	defer s.stop()
	type moment struct {
		at    time.Time
		posts int
		cpu   time.Duration
	}
	var first, last moment
	var profiled time.Duration
	seen, asked := 0, time.Now()
	var began time.Time // of the first commit with all processes at work
	for {
		if err := s.broken(); err != nil {
			return figures{}, err
		}
		done, err := b.committed(ctx, s.group, topic)
		if err != nil {
			return figures{}, err
		}
		now := time.Now()
		if done > seen {
			seen = done
			last = moment{now, done, s.cpu()}
			if began.IsZero() && done > w.warm && (w.processes == 1 || b.members(ctx, s.group) == w.processes) {
				began = now
			}
			if first.posts == 0 && (!began.IsZero() && now.Sub(began) >= span/4 || done > n/2) {
				first = last
				profiled = s.profile(w, profileBegins)
			}
		}
		switch {
		case seen == 0 && now.Sub(asked) > startWithin, now.Sub(asked) > startWithin+10*span:
			return figures{}, fmt.Errorf("%s has committed %d posts within %s: too few to be measured%s",
				w.name, seen, now.Sub(asked).Round(time.Second), s.processes[0].Tail())
		case first.posts > 0 && last.posts > first.posts && (seen >= n || now.Sub(first.at) > span):
			profiled = s.profile(w, profileEnds) - profiled
			posts := last.posts - first.posts
			f := figures{
				rate: float64(posts) / last.at.Sub(first.at).Seconds(), peakMB: s.peakMB(), posts: posts, profiled: profiled,
				cpu: float64((last.cpu - first.cpu).Microseconds()) / 1000 / float64(posts),
			}
			b.say("  %s posts/s, %s ms a post, %s MB, %d posts", short(f.rate), short(f.cpu), short(f.peakMB), posts)
			return f, nil
		}
		if err := stages.Sleep(ctx, lookEvery); err != nil {
			return figures{}, err
		}
	}
}

// members is how many processes share a group's partitions.
func (b *bench) members(ctx context.Context, group string) int {
	groups, err := b.admin.DescribeGroups(ctx, group)
	if err != nil || groups[group].State != "Stable" {
		return 0
	}
	return len(groups[group].Members)
}

// committed is how many posts of a topic a group has committed.
func (b *bench) committed(ctx context.Context, group, topic string) (int, error) {
	offsets, err := b.admin.FetchOffsetsForTopics(ctx, group, topic)
	if err != nil {
		return 0, nil //nolint:nilerr // the coordinator of a new group is not found at once
	}
	sum := 0
	for _, o := range offsets[topic] {
		sum += int(max(o.At, 0))
	}
	return sum, nil
}
