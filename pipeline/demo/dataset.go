package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/pipeline/config"
)

// collection makes a data set of the sample posts. Its images lie in a folder of their own meanwhile.
type collection struct {
	dir    string
	images string
}

// newCollection has cfg collect every pair into dir, which must be new: another demo's offsets would not go together with these.
func newCollection(cfg *config.Config, dir string) (*collection, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder for the data set: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the folder for the data set: %w", err)
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("%s is not empty: name a new folder for the data set", dir)
	}
	images, err := os.MkdirTemp("", "itrstream-demo-images-")
	if err != nil {
		return nil, fmt.Errorf("a place for images: %w", err)
	}
	cfg.Collect.Images, cfg.Collect.Dataset = address(images), address(dir)
	cfg.Collect.Rate, cfg.Collect.Rates = 1, nil
	return &collection{dir: dir, images: images}, nil
}

func address(dir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
}

// run collects what the pipeline has selected.
func (c *collection) run(ctx context.Context, cfg config.Config, o Options) (Collected, error) {
	s := collector.Settings{Log: o.Settings.Log, Now: o.Settings.Now, Alloc: memory.DefaultAllocator, Version: o.Settings.Version, UntilIdle: true}
	if err := collector.Run(ctx, cfg, s); err != nil {
		return Collected{}, fmt.Errorf("collecting: %w", err)
	}
	if ctx.Err() != nil {
		return Collected{}, context.Cause(ctx)
	}
	folder, err := dataset.Open(ctx, cfg.Collect.Dataset)
	if err != nil {
		return Collected{}, err
	}
	m, err := folder.ReadManifest(ctx)
	if err := errors.Join(err, folder.Close()); err != nil {
		return Collected{}, err
	}
	return Collected{Folder: c.dir, Pairs: m.Rows, Shards: len(m.Shards), Dropped: m.Dropped}, nil
}

// close removes the images: the shards have their own.
func (c *collection) close() error {
	if err := os.RemoveAll(c.images); err != nil {
		return fmt.Errorf("removing the images: %w", err)
	}
	return nil
}
