package pipeline

import (
	"context"

	"github.com/itrstream/itrstream/stages/cluster"
)

// Named returns the ids of the posts that the centroids name, as results have
// them.
func (c *Centroids) Named(ctx context.Context) ([]string, error) {
	st, err := c.store.Load(ctx)
	if err != nil {
		return nil, err
	}
	return cluster.Named(st, c.origin.Dim)
}
