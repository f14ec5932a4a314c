package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/itrstream/itrstream/connectors/dataset/bucket"
	"github.com/itrstream/itrstream/connectors/dataset/images"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/collect"
	"github.com/itrstream/itrstream/stages/media"
)

var _ media.Holder = (*collecting)(nil)

// collecting holds the images of pairs that may be chosen for the data set,
// chooses, and puts the images of those that are into the image store. It
// never holds labels up for longer than collect.timeout, and hardly ever that: what does not
// get into the store in time is not collected. A nil one collects nothing.
type collecting struct {
	stage   *collect.Stage
	held    *held
	bucket  *bucket.Bucket
	puts    *puts
	metrics *collect.Metrics
}

func newCollecting(ctx context.Context, cfg config.Collect, s collect.Settings, now func() time.Time) (*collecting, error) {
	if !cfg.On() {
		return nil, nil //nolint:nilnil // nil collects nothing
	}
	stage, err := collect.New(cfg.Config, s)
	if err != nil {
		return nil, err
	}
	b, err := bucket.Open(ctx, cfg.Images)
	if err != nil {
		return nil, fmt.Errorf("collect.images: %w", err)
	}
	return &collecting{
		stage: stage, held: newHeld(cfg.HoldBytes, s.Metrics), bucket: b, metrics: s.Metrics,
		puts: newPuts(images.New(b, now), cfg.Timeout, now, s.Log),
	}, nil
}

func (c *collecting) close() error {
	if c == nil {
		return nil
	}
	return c.bucket.Close()
}

// holder is c for media, which knows no nil of ours.
func (c *collecting) holder() media.Holder {
	if c == nil {
		return nil
	}
	return c
}

// Hold keeps the image of a pair that may be chosen. Of one that must not be
// used it keeps that alone.
func (c *collecting) Hold(b *schemas.Batch, row int, digest [sha256.Size]byte, im media.Encoded) {
	switch {
	case !c.stage.Candidate(b, row):
	case im.Reserved || collect.Reserved(im.Data):
		c.held.put(b, row, heldImage{digest: digest, reserved: true})
	default:
		c.held.put(b, row, heldImage{digest: digest, data: im.Data})
	}
}

// forgetting returns a function that forgets a batch's images.
func (c *collecting) forgetting(b *schemas.Batch) func() {
	if c == nil {
		return func() {}
	}
	p, offsets := b.Partition, b.Offsets
	return func() { c.held.forget(p, offsets) }
}

// picked are the images of the pairs of a batch that are collected, by row of
// Pairs.
type picked map[int]schemas.CollectedImage

// pick chooses pairs of a decided batch and puts their images into the store.
// The only error is that of ctx.
func (c *collecting) pick(ctx context.Context, b *schemas.Batch) (picked, error) {
	if c == nil {
		return nil, nil
	}
	if err := c.stage.Process(ctx, b); err != nil {
		return nil, err
	}
	out := make(picked)
	var chosen []heldImage
	for row := range int(b.Pairs().NumRows()) {
		if _, selected := schemas.SelectedAt(b, row); !selected {
			continue
		}
		switch im, ok := c.held.get(b, row); {
		case !ok:
			c.metrics.Skipped(collect.SkipNoRoom)
		case im.reserved:
			c.metrics.Skipped(collect.SkipOptedOut)
		default:
			out[row] = schemas.CollectedImage{
				Digest: hex.EncodeToString(im.digest[:]), Bytes: int64(len(im.data)), MIME: http.DetectContentType(im.data),
			}
			chosen = append(chosen, im)
		}
	}
	if len(chosen) == 0 {
		return nil, nil
	}
	stored := c.puts.all(ctx, chosen)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for row, im := range out {
		if !stored[im.Digest] {
			delete(out, row)
			c.metrics.Skipped(collect.SkipStoreAway)
		}
	}
	stages.Reach(ctx, stages.AfterImagePut)
	return out, nil
}

// committed counts what a batch has brought to the collected topic.
func (c *collecting) committed(b *schemas.Batch, out picked) {
	for row := range out {
		selected, _ := schemas.SelectedAt(b, row)
		c.metrics.Collected(selected.Reason)
	}
}
