package media

import (
	"context"
	"fmt"

	"github.com/itrstream/itrstream/schemas"
)

// Fetcher gets the bytes behind a URL of foreign origin. It decides which addresses may be reached, how long and how much;
// it must not trust the URL in any way. Calls may run at the same time.
//
// A *Failure is the fault of this one URL, and becomes its pair's failure. The context's error stops the batch, as does any
// other error.
type Fetcher interface {
	Fetch(ctx context.Context, url string) ([]byte, error)
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
