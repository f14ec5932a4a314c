package duplicates

import (
	"errors"
	"fmt"

	"github.com/itrstream/itrstream/model/pixels"
)

// Config is what operators set.
type Config struct {
	// Capacity is how many rows are remembered, the newest. 0 turns the search for duplicates off.
	Capacity int `mapstructure:"capacity"`
	// ImageDistance is how many of 64 bits may differ between two pictures that count as one.
	ImageDistance int `mapstructure:"image_distance"`
	// TextSimilarity is the Jaccard similarity of word pairs from which two texts count as one.
	TextSimilarity float64 `mapstructure:"text_similarity"`
}

// DefaultConfig returns what holds where operators set nothing.
func DefaultConfig() Config {
	return Config{Capacity: 1_000_000, ImageDistance: 6, TextSimilarity: 0.8}
}

// Beyond maxDistance pictures differ to the eye, and the index would visit too many of its buckets.
const (
	maxCapacity = 100_000_000
	maxDistance = 12
)

// Validate reports every fault, each with its key, value and what is allowed.
func (c Config) Validate() error {
	var errs []error
	fault := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v is not allowed; use %s", key, value, allowed))
	}
	if c.Capacity < 0 || c.Capacity > maxCapacity {
		fault("capacity", c.Capacity, fmt.Sprintf("0 (off) to %d", maxCapacity))
	}
	if c.ImageDistance < 0 || c.ImageDistance > maxDistance {
		fault("image_distance", c.ImageDistance, fmt.Sprintf("0 to %d", maxDistance))
	}
	if !(c.TextSimilarity > 0 && c.TextSimilarity <= 1) {
		fault("text_similarity", c.TextSimilarity, "more than 0, up to 1")
	}
	return errors.Join(errs...)
}

// Signature is what is known of a pair to find it again: the columns image_hash and text_hash of its row.
type Signature struct {
	Image uint64
	Text  Text
}

// Sign makes the signature of a pair from its encoded image and its text. The errors are those of pixels.Decode.
func Sign(image []byte, text string, limits pixels.Limits) (Signature, error) {
	hash, err := ImageHash(image, limits)
	if err != nil {
		return Signature{}, err
	}
	return Signature{Image: hash, Text: TextHash(text)}, nil
}
