package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Config is what operators set.
type Config struct {
	// K is how many clusters there are.
	K int `mapstructure:"k"`
	// HalfLife is after how many further pairs a pair weighs half. 0 means
	// max(5000, 40·k).
	HalfLife int `mapstructure:"half_life"`
	// Bootstrap is how many pairs are sampled before the first centroids are
	// made. 0 means max(4096, 20·k).
	Bootstrap int `mapstructure:"bootstrap"`
	// MaxRefold is how many offsets are folded again at most when the store
	// has gone back in time; what lies further back becomes a recorded gap.
	MaxRefold int64 `mapstructure:"max_refold"`
	// SampleBytes bounds the bootstrap sample in the store; beyond it the
	// sample is a uniform reservoir.
	SampleBytes int `mapstructure:"sample_bytes"`
	// ReportEvery is how often a cluster's state is reported at most.
	ReportEvery time.Duration `mapstructure:"report_every"`
	// NoveltyShare is the share of novel pairs above which, twice in a row,
	// an alarm is raised.
	NoveltyShare float64 `mapstructure:"novelty_share"`
}

// DefaultConfig returns what holds where operators set nothing.
func DefaultConfig() Config {
	return Config{
		K:            64,
		MaxRefold:    100_000,
		SampleBytes:  64 << 20,
		ReportEvery:  30 * time.Second,
		NoveltyShare: 0.05,
	}
}

// Limits that keep a typing error from filling a machine.
const (
	maxK         = 100_000
	maxBootstrap = 100_000_000
)

// Validate reports every fault, each with its key, value and what is allowed.
func (c Config) Validate() error {
	var errs []error
	fault := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v is not allowed; use %s", key, value, allowed))
	}
	if c.K < 1 || c.K > maxK {
		fault("k", c.K, fmt.Sprintf("1 to %d clusters", maxK))
	}
	if c.HalfLife < 0 {
		fault("half_life", c.HalfLife, "a number of pairs, or 0 for max(5000, 40·k)")
	}
	if c.Bootstrap != 0 && (c.Bootstrap < c.K || c.Bootstrap > maxBootstrap) {
		fault("bootstrap", c.Bootstrap, fmt.Sprintf("k (%d) to %d pairs, or 0 for max(4096, 20·k)", c.K, maxBootstrap))
	}
	if c.MaxRefold < 0 {
		fault("max_refold", c.MaxRefold, "0 or more offsets")
	}
	if c.SampleBytes < 1<<20 || c.SampleBytes > 1<<30 {
		fault("sample_bytes", c.SampleBytes, "1048576 (1 MiB) to 1073741824 (1 GiB)")
	}
	if c.ReportEvery < 0 {
		fault("report_every", c.ReportEvery, "a duration such as 30s, or 0s for every batch")
	}
	if !(c.NoveltyShare > 0 && c.NoveltyShare <= 1) {
		fault("novelty_share", c.NoveltyShare, "a share above 0, up to 1")
	}
	return errors.Join(errs...)
}

func (c Config) halfLife() float64 {
	if c.HalfLife > 0 {
		return float64(c.HalfLife)
	}
	return float64(max(5000, 40*c.K))
}

func (c Config) bootstrap() uint64 {
	if c.Bootstrap > 0 {
		return uint64(c.Bootstrap)
	}
	return uint64(max(4096, 20*c.K))
}

// Settings is what the wiring fills in.
type Settings struct {
	Store CentroidStore
	// Namespace and ModelDigest say in cluster events which space an id
	// belongs to. They are the store's own prefix, too.
	Namespace, ModelDigest string
	// Dim is the width of the embeddings.
	Dim int
	Now func() time.Time
	// Rand is where tags, public ids and samples come from; nil means the
	// system's. Tests pass a seeded one. It need not be safe for concurrent
	// use.
	Rand    io.Reader
	Log     *slog.Logger
	Metrics *Metrics
	Alloc   memory.Allocator
}

func (s *Settings) complete() error {
	switch {
	case s.Store == nil:
		return errors.New("cluster: no store")
	case s.Dim < 1:
		return fmt.Errorf("cluster: embeddings of width %d", s.Dim)
	case s.Now == nil:
		return errors.New("cluster: no clock")
	}
	if s.Rand == nil {
		s.Rand = rand.Reader
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Alloc == nil {
		s.Alloc = memory.DefaultAllocator
	}
	return nil
}
