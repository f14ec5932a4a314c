package infer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/model"
)

// Config is what operators set.
type Config struct {
	// MaxBatch is the most pairs that share a run of the text tower and the head.
	MaxBatch int `mapstructure:"max_batch"`
	// MaxWait is how long the first pair of a run waits for others though a run
	// is free; 0: not at all. While every run is taken, later pairs join anyway, so that
	// runs are as large as the load makes them.
	MaxWait time.Duration `mapstructure:"max_wait"`
	// Runs is how many runs may be under way at once. How many cores they keep
	// busy is the model's setting.
	Runs int `mapstructure:"runs"`
}

// DefaultConfig fits a few cores without a GPU.
func DefaultConfig() Config {
	return Config{MaxBatch: 32, Runs: 2}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.MaxBatch < 1 || c.MaxBatch > 4096 {
		faults = append(faults, fmt.Errorf("max_batch is %d: 1 to 4096 are allowed", c.MaxBatch))
	}
	if c.MaxWait < 0 || c.MaxWait > time.Minute {
		faults = append(faults, fmt.Errorf("max_wait is %v: 0s to 1m are allowed", c.MaxWait))
	}
	if c.Runs < 1 || c.Runs > 64 {
		faults = append(faults, fmt.Errorf("runs is %d: 1 to 64 are allowed", c.Runs))
	}
	return errors.Join(faults...)
}

// Encoder relates texts to what the image tower made of images; *model.Model is
// one. A row of its output must depend on its own text and image alone. An error is
// for good. Calls may be concurrent.
type Encoder interface {
	Encode(ctx context.Context, in model.Input) (model.Output, error)
	// Read may read texts ahead of the Encode that will ask for them.
	Read(ctx context.Context, texts []string) error
	// Dim returns the width of embeddings.
	Dim() int
}

var _ Encoder = (*model.Model)(nil)

// Settings is what the wiring sets.
type Settings struct {
	Encoder Encoder
	Alloc   memory.Allocator
	Metrics *Metrics
}

func (s Settings) validate() error {
	switch {
	case s.Encoder == nil:
		return errors.New("Settings.Encoder is missing")
	case s.Alloc == nil:
		return errors.New("Settings.Alloc is missing")
	}
	return nil
}
