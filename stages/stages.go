// Package stages declares what every stage of the pipeline is, and how it
// fails. Each stage lives in a package of its own below.
//
// Writing a stage? Read Stage, then schemas.Batch.
// Deciding what an error becomes? Reject on the batch, Transient, or any
// other error, which is permanent.
package stages

import (
	"context"

	"github.com/itrstream/itrstream/schemas"
)

// Stage adds its columns to a batch. It adds them only when it succeeds, so
// that the runner may call it again with the same batch after a Transient.
// Calls for different batches may run at the same time.
type Stage interface {
	Process(ctx context.Context, b *schemas.Batch) error
}

// Transient asks the runner to wait and try the same batch again: something
// outside is away. Any other error is permanent and stops the process.
type Transient struct {
	Err error
}

// Error says what is away.
func (t *Transient) Error() string { return t.Err.Error() }

// Unwrap returns the cause.
func (t *Transient) Unwrap() error { return t.Err }
