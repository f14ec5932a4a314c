package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/pipeline/collector/card"
	"github.com/itrstream/itrstream/pipeline/collector/duplicates"
	"github.com/itrstream/itrstream/stages/collect"
)

// Collect is what is kept for re-pre-training: which pairs, where their images
// go meanwhile, and how itrstream collect makes a data set of them.
type Collect struct {
	// Images is the URL of the image store; empty: nothing is collected.
	Images string `mapstructure:"images"`
	// Dataset is the URL of the folder that itrstream collect writes into.
	Dataset        string `mapstructure:"dataset"`
	collect.Config `mapstructure:",squash"`
	// HoldBytes bounds the images that wait for the choice, in memory.
	HoldBytes int64 `mapstructure:"hold_bytes"`
	// Timeout is how long a batch waits for the image store at most.
	Timeout time.Duration `mapstructure:"timeout"`
	// ShardRows, ShardBytes and ShardEvery end a shard, whichever comes first;
	// a new day does, too.
	ShardRows  int           `mapstructure:"shard_rows"`
	ShardBytes int64         `mapstructure:"shard_bytes"`
	ShardEvery time.Duration `mapstructure:"shard_every"`
	// Duplicates says when a pair is near one that the data set has.
	Duplicates duplicates.Config `mapstructure:"duplicates"`
	// Card is what the data set's card says about it.
	Card card.Config `mapstructure:"card"`
}

func defaultCollect() Collect {
	return Collect{
		Config:     collect.DefaultConfig(),
		HoldBytes:  64 << 20,
		Timeout:    2 * time.Second,
		ShardRows:  10_000,
		ShardBytes: 256 << 20,
		ShardEvery: 10 * time.Minute,
		Duplicates: duplicates.DefaultConfig(),
		Card:       card.DefaultConfig(),
	}
}

// On reports whether anything is collected.
func (c Collect) On() bool { return c.Images != "" }

// Validate reports every fault.
func (c Collect) Validate() error {
	errs := []error{c.Config.Validate()}
	check := func(ok bool, key string, value any, allowed string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %v: must be %s", key, value, allowed))
		}
	}
	for _, at := range []struct{ key, url string }{{"images", c.Images}, {"dataset", c.Dataset}} {
		if err := bucket.Check(at.url); at.url != "" && err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at.key, err))
		}
	}
	switch {
	case c.Dataset != "" && c.Images == "":
		errs = append(errs, errors.New("dataset: given without images: set collect.images, the store that the pipeline puts images into"))
	case c.Dataset != "" && c.Dataset == c.Images:
		errs = append(errs, errors.New("dataset: must differ from collect.images"))
	}
	check(c.HoldBytes >= 1<<20, "hold_bytes", c.HoldBytes, fmt.Sprintf("%d or more", 1<<20))
	check(c.Timeout >= 50*time.Millisecond && c.Timeout <= 30*time.Second, "timeout", c.Timeout, "between 50ms and 30s")
	check(c.ShardRows >= 1 && c.ShardRows <= 1_000_000, "shard_rows", c.ShardRows, "between 1 and 1000000")
	check(c.ShardBytes >= 1<<20 && c.ShardBytes <= 16<<30, "shard_bytes", c.ShardBytes, fmt.Sprintf("between %d and %d", 1<<20, int64(16<<30)))
	check(c.ShardEvery >= time.Second && c.ShardEvery <= 24*time.Hour, "shard_every", c.ShardEvery, "between 1s and 24h")
	errs = append(errs, prefixed("duplicates", c.Duplicates.Validate())...)
	errs = append(errs, prefixed("card", c.Card.Validate())...)
	return errors.Join(errs...)
}
