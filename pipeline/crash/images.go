package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/itrstream/itrstream/pipeline/oracle"
)

// topics are the pipeline's, with that of the data set.
var topics = func() oracle.Topics {
	t := oracle.DefaultTopics
	t.Collected = "collected"
	return t
}()

// images is the run's image store.
func (r *run) images() string { return filepath.Join(r.dir, "images") }

// checkImages looks whether each collected image is in the store, whole.
func (r *run) checkImages(o *oracle.Oracle, v *oracle.Verdict) error {
	digests := o.Images()
	if len(digests) == 0 {
		return errors.New("no image was collected")
	}
	for _, digest := range digests {
		data, err := os.ReadFile(filepath.Join(r.images(), digest[:2], digest)) //nolint:gosec // a digest that was checked
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != digest {
			v.Wrong++
			v.Details = append(v.Details, fmt.Sprintf("the image %s is not in the store as it was", digest))
		}
	}
	return nil
}
