package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	embeddedkafka "github.com/itrstream/itrstream/connectors/kafka/embedded"
	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	embeddedredis "github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/pipeline/session"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parts are what is measured, in this order.
var parts = []struct {
	name, what string
	run        func(context.Context, *bench) error
	asked      bool // only when --only names it
}{
	{"limit", "the pipeline beside a bare loop of the same graphs", limitPart, false},
	{"peers", "the pipeline beside a Python program on the same posts", peersPart, false},
	{"stub", "decode, map and emit without a model", stubPart, false},
	{"parts", "tokenizer, images, clustering, JSON, Kafka, each beside a peer's", partsPart, false},
	{"latency", "from produce to committed consume, at shares of the highest rate", latencyPart, false},
	{"profile", "where the pipeline's processor time goes", profilePart, false},
	{"draft", "pictures decoded by media.draft beside whole ones: labels and time; only when asked for", draftPart, true},
	{"soak", "memory while backlogs drain, and over a long time; only when asked for", soakPart, true},
	{"gpu", "the pipeline on a GPU beside a bare loop there; only when asked for (gpu.sh)", gpuPart, true},
	{"growth", "more partitions, workers, clusters and rows a batch; only when asked for", growthPart, true},
}

// bench is one run of the benchmarks.
type bench struct {
	repeat  int
	quick   bool
	soak    time.Duration
	only    []string
	bundle  string
	device  string
	python  string
	results string
	profile string
	cache   string
	commit  string
	// embedded says that Kafka and Redis are the embedded ones, where no others are.
	embedded bool

	self, dir, photos string
	brokers           []string
	redis             string
	admin             *kadm.Client
	table             table
	runs              int
	span              time.Duration // of one measurement

	mu     sync.Mutex
	failed error
}

func command() *cobra.Command {
	var b bench
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pipeline against its limit and its peers",
		Long:  "Measure the pipeline against its limit and its peers, on Apache Kafka (jars in $" + kafkatest.LibsVariable + ") and redis-server.\n\n" + describeParts(),
		Example: `  make bench
  make bench ARGS='--quick --only peers,latency'
  make bench ARGS='--only profile --profile cpu.pprof'`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range b.only {
				if !slices.Contains(names, name) {
					return fmt.Errorf("--only: there is no part %q: use one or more of %s", name, strings.Join(names, ", "))
				}
			}
			if b.repeat < 1 {
				return fmt.Errorf("--repeat is %d: it must be 1 or more", b.repeat)
			}
			return b.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&b.only, "only", nil, "parts to run: "+strings.Join(names, ", ")+" (default all but soak and growth)")
	f.IntVar(&b.repeat, "repeat", 3, "how often to measure each pair")
	f.DurationVar(&b.soak, "soak", time.Hour, "how long the soak lasts")
	f.BoolVar(&b.quick, "quick", false, "short measurements, for a first look")
	f.StringVar(&b.bundle, "bundle", "model/bundles/itr-mini", "model `folder`")
	f.StringVar(&b.device, "device", "cpu", "cpu or cuda:N, of the pipeline")
	f.StringVar(&b.python, "python", ".cache/venv-bench/bin/python", "Python with the packages of peer_python/requirements.txt")
	f.StringVar(&b.results, "results", "pipeline/bench/results", "folder for the figures as JSON; empty: none")
	f.StringVar(&b.cache, "cache", ".cache/bench", "`folder` in which the photos are kept")
	f.StringVar(&b.commit, "commit", "", "what is measured (default: what git says)")
	f.BoolVar(&b.embedded, "embedded", false, "use embedded services, where there is neither Java nor redis-server")
	f.StringVar(&b.profile, "profile", "", "keep the CPU profile of the part profile as `file`")
	cmd.AddCommand(reportCommand(), photosCommand(), workerCommand(), limitCommand(), goPeerCommand())
	return cmd
}

func describeParts() string {
	var out strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&out, "  %-8s %s\n", p.name, p.what)
	}
	return out.String()
}

func (b *bench) run(ctx context.Context) (err error) {
	defer session.Recover(&err)
	began := time.Now()
	b.span = 8 * time.Second
	if b.quick {
		b.span = 3 * time.Second
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "itrstream-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir) //nolint:errcheck // nothing of worth is in it
	s := session.New(b.dir)
	defer s.End()
	if err := b.prepare(ctx, s); err != nil {
		return err
	}
	for _, p := range parts {
		if named := slices.Contains(b.only, p.name); !named && (p.asked || len(b.only) > 0) {
			continue
		}
		partBegan := time.Now()
		b.say("== %s: %s", p.name, p.what)
		if err := errors.Join(p.run(ctx, b), b.failure()); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		took := time.Since(partBegan)
		b.say("== %s took %s", p.name, took.Round(time.Second))
		b.table.Measured[p.name] = measured{
			Date: began.UTC().Format(time.DateOnly), Commit: b.commit, Repeats: b.repeat, Minutes: int(math.Ceil(took.Minutes())), Quick: b.quick,
		}
		if err := b.keep(); err != nil { // what comes later may fail
			return err
		}
	}
	if err := b.table.print(os.Stdout); err != nil {
		return err
	}
	b.say("all of it took %s", time.Since(began).Round(time.Second))
	return nil
}

// keep writes what has been measured so far.
func (b *bench) keep() error {
	if b.results == "" {
		return nil
	}
	path, err := b.table.write(b.results)
	if err != nil {
		return err
	}
	b.say("written to %s", path)
	if b.table.Profile == nil {
		return nil
	}
	flame := filepath.Join(b.results, flameFile(b.table.Hardware))
	return os.WriteFile(flame, []byte(b.table.Profile.flame.svg("processor time of the full pipeline, "+b.table.Hardware.String())), 0o644) //nolint:gosec // for everybody
}

// prepare draws the photos and starts the servers.
func (b *bench) prepare(ctx context.Context, s *session.Session) error {
	b.table.Hardware, b.table.Measured = thisMachine(), map[string]measured{}
	if b.commit == "" {
		out, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output()
		if err != nil {
			return fmt.Errorf("what is measured? git says nothing, so --commit has to: %w", err)
		}
		b.commit = strings.TrimSpace(string(out))
	}
	b.photos = filepath.Join(b.cache, photosName)
	b.say("drawing photos")
	if err := drawPhotos(b.photos); err != nil {
		return err
	}
	if err := b.startServices(s); err != nil { //nolint:contextcheck // they end with the session
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...))
	if err != nil {
		return err
	}
	s.Cleanup(client.Close)
	b.admin = kadm.NewClient(client)
	return ctx.Err()
}

func (b *bench) startServices(s *session.Session) error {
	if !b.embedded {
		b.say("starting Apache Kafka and redis-server")
		b.brokers = kafkatest.Start(s, kafkatest.Options{}).Addrs()
		b.redis = redistest.Start(s, redistest.Options{}).Addr()
		return nil
	}
	cfg := embeddedkafka.DefaultConfig()
	cfg.RetentionBytes = 0 // a backlog stays until it is drained
	broker, err := embeddedkafka.Start(cfg)
	if err != nil {
		return err
	}
	s.Cleanup(broker.Close)
	server, err := embeddedredis.Start()
	if err != nil {
		return err
	}
	s.Cleanup(server.Close)
	b.brokers, b.redis = broker.Addrs(), server.Addr()
	return nil
}

// say tells how far the run is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// fail remembers the first error of something that has no other way to report
// it.
func (b *bench) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
	}
}

func (b *bench) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// backlog is how many posts of a stream keep the fastest worker busy while it
// warms up and is measured.
func (b *bench) backlog(s stream) int {
	perSecond := 150
	switch s.Name {
	case small.Name:
		perSecond = 400
	case phone.Name:
		perSecond = 15
	case icon.Name:
		perSecond = 8_000
	case textStream.Name:
		perSecond = 100_000
	}
	return int(1.25 * float64(perSecond*b.table.Hardware.Cores) * b.span.Seconds())
}
