package media

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/itrstream/itrstream/schemas"
)

// Fetcher gets the bytes behind a URL of foreign origin. It decides which addresses may be reached, how long and how much;
// it must not trust the URL in any way. Calls may run at the same time.
//
// A *Failure is the fault of this one URL, and becomes its pair's failure. The context's error stops the batch, as does any
// other error.
type Fetcher interface {
	Fetch(ctx context.Context, url string) (Encoded, error)
}

// Encoded is an image as its host sent it.
type Encoded struct {
	Data []byte
	// Reserved is that the host asks not to train models on it.
	Reserved bool
}

// Holder may keep encoded images that a later stage wants, for the batch loses them here. It is offered each row's image as
// soon as its bytes are there, whether or not they turn out to be an image, and again when the stage is retried. Calls may run at the
// same time. Data is borrowed.
type Holder interface {
	Hold(b *schemas.Batch, row int, digest [sha256.Size]byte, im Encoded)
}

// Failure is why one image could not be had. It is final: nothing tries this image again.
type Failure struct {
	Reason schemas.Reason
	Err    error
}

// Error gives the reason and what is behind it.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

// Unwrap returns what is behind it.
func (f *Failure) Unwrap() error { return f.Err }
