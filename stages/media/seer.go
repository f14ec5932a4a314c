package media

import (
	"context"

	"github.com/itrstream/itrstream/model"
)

// Seer is the image tower; *model.Model is one.
type Seer interface {
	// See writes what the tower makes of one image's scaled pixels into vector, which has ImageWidth values. They depend on the
	// pixels alone. When it returns, it is done with both. Calls are many at a time, and an error is for good.
	See(ctx context.Context, pixels []uint8, vector []float32) error
	ImageWidth() int
	// ImagesAtOnce is how many calls keep it busy.
	ImagesAtOnce() int
}

var _ Seer = (*model.Model)(nil)
