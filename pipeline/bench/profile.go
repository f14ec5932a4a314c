package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	pprofile "github.com/google/pprof/profile"

	"github.com/itrstream/itrstream/connectors/kafka"
)

// profile is where the processor time of a run has gone.
type profile struct {
	Posts int        `json:"posts"`
	CPU   float64    `json:"cpu_ms_per_post"` // by the kernel's count
	Seen  float64    `json:"seen"`            // share of it that the profile has
	Parts []partTime `json:"parts"`
	// Rest is the parts that are not what any program would have to do.
	Rest float64 `json:"rest_ms_per_post"`
	// Unexplained are functions that no rule names, with more than 0.1 %.
	Unexplained []partTime `json:"unexplained,omitempty"`
	flame       *flame
}

// partTime is the time of one part.
type partTime struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
	MS    float64 `json:"ms_per_post"`
	// Needed says that the part is model, JPEG, base64, digest or socket.
	Needed bool `json:"needed,omitempty"`
}

// unexplained is the part of what no rule names.
const unexplained = "unexplained"

// partRules name the part of a function. Of a sample's functions, from where the
// time was spent up to who began it all, the first that a rule knows decides; of
// the rules, the first that fits. So what is copied or allocated belongs to whoever
// asked for it.
var partRules = []struct {
	part   string
	needed bool
	match  *regexp.Regexp
}{
	{"garbage collection", false, rule(`^runtime\.(gcBgMarkWorker|gcAssistAlloc|bgsweep|bgscavenge|gcStart|gcMarkTermination|gcDrain|sweepone|\(\*sweepLocked\)|\(\*mheap\)\.(reclaim|scavenge|allocNeedsZero))`)},
	{"sockets: copies to and from the kernel", true, rule(`^(internal/poll\.\(\*FD\)\.(Read|Write|Writev|RawRead|RawWrite)|syscall\.(read|write|recvfrom|sendto)|internal/poll\.(ignoringEINTRIO|writev))`)},
	{"model: image tower", true, rule(`^github\.com/itrstream/itrstream/model\.\(\*Model\)\.runImages`)},
	{"model: text tower", true, rule(`^github\.com/itrstream/itrstream/model\.\(\*Model\)\.runTexts`)},
	{"model: head", true, rule(`^github\.com/itrstream/itrstream/model\.\(\*Model\)\.runHead`)},
	{"tokenizer", false, rule(`^github\.com/itrstream/itrstream/model(/tokenize\.|\.\(\*Model\)\.tokenize)`)},
	{"JPEG decode and resize", true, rule(`^github\.com/itrstream/itrstream/model/pixels`)},
	{"digest", true, rule(`^crypto/(sha256|internal/fips140/sha256)\.`)},
	{"base64", true, rule(`(^encoding/base64\.|segmentio/asm/base64)`)},
	{"checksums", false, rule(`^hash/crc32\.`)},
	{"compression of batches", false, rule(`(pierrec/lz4|klauspost/compress|kafka-go/compress)`)},
	{"decode: JSON to Arrow", false, rule(`^github\.com/itrstream/itrstream/stages/decode`)},
	{"media: cache and columns", false, rule(`^github\.com/itrstream/itrstream/stages/media`)},
	{"infer: runs and columns", false, rule(`^github\.com/itrstream/itrstream/(stages/infer|model\.(\(\*Model\)\.(Encode|See|look|readTexts|runTextTower|takeScratch)|checkFinite|normalise|sized|\(\*(slots|views|remembered)\)))`)},
	{"cluster: assign and fold", false, rule(`^github\.com/itrstream/itrstream/stages/cluster`)},
	{"Redis", false, rule(`(^github\.com/itrstream/itrstream/connectors/redis|redis/go-redis)`)},
	{"decide", false, rule(`(^github\.com/itrstream/itrstream/stages/decide|cel-go|^cel\.dev)`)},
	{"emit: results to JSON; batches", false, rule(`^github\.com/itrstream/itrstream/(schemas\.|pipeline\.\(\*(emitter|outbox)\))`)},
	{"Kafka: fetch", false, rule(`^github\.com/itrstream/itrstream/connectors/kafka\.\(\*(F|f)etcher\)`)},
	{"Kafka: produce and the rest", false, rule(`(^github\.com/itrstream/itrstream/connectors/kafka|segmentio/kafka-go)`)},
	{"pipeline: chains and budget", false, rule(`^github\.com/itrstream/itrstream/pipeline\.`)},
	{"scheduler and network poller", false, rule(`^runtime\.(schedule|findRunnable|mcall|park_m|goexit0|gosched|goschedImpl|sysmon|mstart|netpoll|futex|ready|wakep|startm|stopm|notewakeup|notesleep|_System|morestack|newproc|gopreempt_m|\(\*timers\))`)},
	{"profiler", false, rule(`^runtime/pprof\.|^runtime\.(profileLoop|sigprof|sigtramp|sigreturn)`)},
}

func rule(pattern string) *regexp.Regexp { return regexp.MustCompile(pattern) }

// partOf is the part of a stack, which begins where the time was spent.
func partOf(stack []string) (part string, needed bool) {
	for _, function := range stack {
		for _, r := range partRules {
			if r.match.MatchString(function) {
				return r.part, r.needed
			}
		}
	}
	return unexplained, false
}

// stackOf is a sample's functions, the innermost first.
func stackOf(s *pprofile.Sample) (stack []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				stack = append(stack, line.Function.Name)
			}
		}
	}
	return stack
}

// newProfile divides a CPU profile by parts. f is what the kernel has counted.
func newProfile(p *pprofile.Profile, f figures) (*profile, error) {
	value := slices.IndexFunc(p.SampleType, func(t *pprofile.ValueType) bool { return t.Type == "cpu" && t.Unit == "nanoseconds" })
	if value < 0 {
		return nil, fmt.Errorf("this is no profile of processor time")
	}
	out := &profile{Posts: f.posts, CPU: f.cpu, flame: newFlame()}
	total := 0.0
	parts, functions := map[string]*partTime{}, map[string]float64{}
	for _, s := range p.Sample {
		ms := float64(s.Value[value]) / 1e6
		stack := stackOf(s)
		name, needed := partOf(stack)
		if parts[name] == nil {
			parts[name] = &partTime{Name: name, Needed: needed}
		}
		parts[name].MS += ms
		if name == unexplained && len(stack) > 0 {
			functions[stack[0]] += ms
		}
		out.flame.add(stack, name, ms)
		total += ms
	}
	if total == 0 || f.posts == 0 {
		return nil, fmt.Errorf("the profile is empty")
	}
	out.Seen = total / 1000 / f.profiled.Seconds()
	// What the profiler has missed is taken to be spread as what it has seen.
	for _, part := range parts {
		part.Share = part.MS / total
		part.MS = part.Share * f.cpu
		out.Parts = append(out.Parts, *part)
		if !part.Needed {
			out.Rest += part.MS
		}
	}
	for name, ms := range functions {
		if ms/total > 0.001 {
			out.Unexplained = append(out.Unexplained, partTime{Name: name, Share: ms / total, MS: ms / total * f.cpu})
		}
	}
	for _, list := range [][]partTime{out.Parts, out.Unexplained} {
		slices.SortFunc(list, func(a, b partTime) int { return cmp.Or(cmp.Compare(b.MS, a.MS), strings.Compare(a.Name, b.Name)) })
	}
	return out, nil
}

func (p *profile) part(name string) partTime {
	for _, part := range p.Parts {
		if part.Name == name {
			return part
		}
	}
	return partTime{}
}

const profileName = "8 profile"

// restMS is what a post may cost beside what any program would have to do.
const restMS = 0.3

// profilePart says where the time of the mix goes.
func profilePart(ctx context.Context, b *bench) error {
	const topic = "profile-mix"
	n := 2 * b.backlog(mixStream)
	if err := b.fill(ctx, topic, mixStream, n); err != nil {
		return err
	}
	path := cmp.Or(b.profile, filepath.Join(b.dir, "cpu.pprof"))
	w := b.ours(kafka.ExactlyOnce)
	start := w.command
	w.span, w.warm, w.profiled = 2*b.span, 2*bootstrap, true // the first centroids are made once
	w.command = func(n names) ([]string, string, []string) {
		env, program, args := start(n)
		return env, program, append(args, "--profile", path)
	}
	f, err := b.drain(ctx, w, topic, n)
	if err != nil {
		return err
	}
	b.deleteTopic(ctx, topic)
	text, err := os.ReadFile(path) //nolint:gosec // written a moment ago
	if err != nil {
		return err
	}
	parsed, err := pprofile.ParseData(text)
	if err != nil {
		return err
	}
	p, err := newProfile(parsed, f)
	if err != nil {
		return err
	}
	b.table.Profile = p
	b.table.add(about{profileName, fmt.Sprintf("CPU outside model, JPEG, base64, digest, sockets ÷ %g ms", restMS), "ms/post", goal{atMost: 1}, ""}, p.Rest, restMS)
	b.table.add(about{profileName, "CPU that no rule explains ÷ 2 %", "share", goal{atMost: 1}, ""}, math.Max(p.part(unexplained).Share, 1e-4), 0.02)
	return nil
}

func (p *profile) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s of %s ms a post, over %d posts (the profiler has seen %.0f %% of it)\n", "PROCESSOR TIME", short(p.CPU), p.Posts, 100*p.Seen)
	for _, part := range p.Parts {
		mark := ""
		if part.Needed {
			mark = "  (any program's)"
		}
		fmt.Fprintf(&out, "%6.1f %%  %8.3f ms  %s%s\n", 100*part.Share, part.MS, part.Name, mark)
	}
	for _, u := range p.Unexplained {
		fmt.Fprintf(&out, "%6.1f %%  %8.3f ms    unexplained: %s\n", 100*u.Share, u.MS, u.Name)
	}
	return out.String()
}
