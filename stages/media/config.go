package media

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/model/pixels"
)

// Config is what operators set. All of it bounds the whole stage, however many batches it works on.
//
// The memory beside the batches themselves is at most fetches × max_bytes for encoded images, some 20 bytes for each of
// decode_pixels, cache_bytes, and as many scaled images as the workers and the model have in hand. Most pictures are decoded as
// a whole, and take 10 to 20 bytes a pixel; but a JPEG that libjpeg-turbo decodes, unless it has to be turned, takes 32 of its
// rows, and if it is progressive, a third of its pixels.
type Config struct {
	// Workers is how many images are decoded at once; 0 takes one for each core.
	Workers int `mapstructure:"workers"`
	// Fetches is how many images of URLs are in memory at once: being fetched, or waiting for a worker.
	Fetches int `mapstructure:"fetches"`
	// MaxBytes, MaxPixels (width × height) and MaxSide (pixels) are the most one image may have.
	MaxBytes  int64 `mapstructure:"max_bytes"`
	MaxPixels int64 `mapstructure:"max_pixels"`
	MaxSide   int   `mapstructure:"max_side"`
	// DecodePixels is the most that all images being decoded may have together, as pixels.Drawing counts.
	DecodePixels int64 `mapstructure:"decode_pixels"`
	// Draft has large JPEGs decoded at a half, a quarter or an eighth of their sides, as pixels.Drawing says. What it saves and
	// what it changes, operations.md says.
	Draft bool `mapstructure:"draft"`
	// CacheBytes holds what the model made of the latest images, found by the digest of their file; 0 keeps none.
	CacheBytes int64 `mapstructure:"cache_bytes"`
}

// DefaultConfig fits photographs of today's phones, and a machine with 4 GiB.
func DefaultConfig() Config {
	return Config{
		Fetches:      64,
		MaxBytes:     8 << 20,
		MaxPixels:    50_000_000,
		MaxSide:      16_384,
		DecodePixels: 100_000_000,
		CacheBytes:   24 << 20,
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, key string, value any, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s is %v: %s", key, value, allowed))
		}
	}
	check(c.Workers >= 0 && c.Workers <= 1024, "workers", c.Workers, "0 (one for each core) to 1024 are allowed")
	check(c.Fetches >= 1 && c.Fetches <= 10_000, "fetches", c.Fetches, "1 to 10000 are allowed")
	check(c.MaxBytes >= 1 && c.MaxBytes <= 1<<30, "max_bytes", c.MaxBytes, "1 to 1073741824 bytes are allowed")
	check(c.MaxPixels >= 1 && c.MaxPixels <= 1_000_000_000, "max_pixels", c.MaxPixels, "1 to 1000000000 are allowed")
	check(c.MaxSide >= 1 && c.MaxSide <= 65_535, "max_side", c.MaxSide, "1 to 65535 are allowed")
	check(c.DecodePixels >= c.MaxPixels, "decode_pixels", c.DecodePixels,
		fmt.Sprintf("at least max_pixels (%d) is needed, or the largest images would never be decoded", c.MaxPixels))
	check(!c.Draft || pixels.CanDraft, "draft", c.Draft, "it needs a build with libjpeg-turbo (make builds one where pkg-config finds it)")
	check(c.CacheBytes >= 0, "cache_bytes", c.CacheBytes, "0 (no cache) or more is allowed")
	return errors.Join(faults...)
}

// Settings is what the wiring sets.
type Settings struct {
	Fetcher Fetcher
	// Holder is offered every encoded image; nil: none is wanted.
	Holder Holder
	Seer   Seer
	// Transform and Orient are the bundle's: how an image is scaled, and whether it is turned upright first.
	Transform pixels.Transform
	Orient    bool
	Alloc     memory.Allocator
	Log       *slog.Logger
	Metrics   *Metrics
}

func (s Settings) validate() error {
	switch {
	case s.Fetcher == nil:
		return errors.New("Settings.Fetcher is missing")
	case s.Seer == nil:
		return errors.New("Settings.Seer is missing")
	case s.Alloc == nil:
		return errors.New("Settings.Alloc is missing")
	case s.Log == nil:
		return errors.New("Settings.Log is missing")
	}
	return s.Transform.Validate()
}
